"""What docs/ingestion.md lets a sender paste sends an event that is counted."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from billing import clock
from billing.ingestion.events import read_event
from tests.structure.sources import ROOT

PAGE = (ROOT / "docs" / "ingestion.md").read_text(encoding="utf-8")
COMMANDS = [
    re.sub(r"^ {4}", "", block, flags=re.MULTILINE)
    for block in re.findall(r"(?<=\n\n)(?: {4}\S?.*\n)+", PAGE)
    if re.match(r" {4}(?:[A-Z]+=\$\()?(?:aws|operate) ", block)
]
# In the place of the AWS command line: the queue's URL, or the body that would be sent.
AWS = 'aws() { if [ "$1" = sqs ]; then printf %s "$6"; else echo https://sqs.example/UsageQueue; fi; }\n'


def test_the_page_has_its_commands() -> None:
    assert [command.split()[0].partition("=")[0] for command in COMMANDS] == ["QUEUE", "aws", "operate", "aws"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shell_can_read_each_of_them(command: str) -> None:
    read = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True, check=False)

    assert (read.returncode, read.stderr) == (0, "")


def test_the_event_of_the_first_command_is_counted() -> None:
    sent = subprocess.run(["bash", "-eu"], input=AWS + COMMANDS[0], capture_output=True, text=True, check=True)

    event = read_event(json.loads(sent.stdout), clock.utc_now())
    assert (event.organization_id, event.meter.event_name, event.value) == ("acme", "temperature_readings", 60)
