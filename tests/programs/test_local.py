"""What `make local` prints is pasted, from the checkout to the explained invoice; and events are triggered there."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from programs.local import invoke, sam, trigger
from programs.local.environment import FOLDER_VARIABLE
from programs.local.walk import READINGS, SENSORS, Place, instructions
from tests.programs.local_process import FREE_PORTS, Local

PLACE = Place(
    api="http://127.0.0.1:3000",
    stripe="http://127.0.0.1:12111",
    dynamodb="http://127.0.0.1:8000",
    sqs="http://127.0.0.1:9324",
    bus="http://127.0.0.1:12112",
    root="/home/somebody/sensor-billing",
    settings=".cache/local/env.sh",
    log=".cache/local/functions.log",
)


# In this order.
SEEN = (
    "/_simulator/checkout/cs_test_",
    "303",
    '"status":"active"',
    f"is {READINGS} now",
    f"is {SENSORS} now",
    '"state":"due"',
    '"settled": 2',
    '"state":"reported"',
    "invoice.created 200",
    "invoice.finalized 200",
    "invoice.paid 200",
    "closed",
    f"the newest number {SENSORS}",
    "it agrees",
    f"the hours {READINGS}",
    "it agrees",
)


def commands(text: str) -> list[str]:
    """Return the printed commands, each as it is pasted: lines with two blanks in front, those that go on with more."""
    found: list[str] = []
    for line in text.splitlines():
        if re.match(r"  [^ →]", line):
            found.append(line)
        elif line.startswith("    "):
            found[-1] += f"\n{line}"
    return found


def test_the_printed_commands_lead_from_the_checkout_to_the_explained_invoice(local: Local) -> None:
    pasted = [command for command in commands(local.printed()) if "make trigger" not in command]
    # What a person needs to go on reading is enough for the webhooks.
    pasted = [f"{command}\nsleep 2" if '-X POST "$PAGE"' in command else command for command in pasted]

    # As in another terminal, somewhere else; a blank environment takes all it needs from the printed settings.
    ran = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(pasted)],
        capture_output=True,
        text=True,
        cwd=local.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(local.folder), "COLUMNS": "80", "AWS_PROFILE": "somebody-elses"},
        timeout=180,
    )

    printed = local.printed()
    assert ran.returncode == 0, ran.stdout + ran.stderr + printed
    position, words = 0, re.sub(r" +", " ", ran.stdout)
    for step in SEEN:
        assert step in words[position:], f"{step} is not in\n{words[position:]}"
        position = words.index(step, position) + len(step)
    assert "POST /stripe/webhook 200 customer.subscription.created: processed" in printed
    assert "told: acme AccessChanged allowed active" in printed
    assert "told: acme InvoiceClosed" in printed


@pytest.mark.parametrize("in_containers", [False, True])
def test_no_printed_line_is_longer_than_a_terminal(in_containers: bool) -> None:
    lines = instructions(PLACE, in_containers=in_containers).splitlines()

    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize(
    "event", ["customer.subscription.deleted", "invoice.voided", "v1.billing.meter.no_meter_found"]
)
def test_an_event_is_triggered_and_delivered(local: Local, event: str) -> None:
    ran = local.run(sys.executable, "-m", "programs.local.trigger", event)

    assert ran.returncode == 0, ran.stderr
    assert f"  {event} 200" in ran.stdout.splitlines()


def test_every_event_that_is_handled_can_be_triggered() -> None:
    assert set(trigger.CHANGES) == {*SNAPSHOT_EVENT_TYPES, *THIN_EVENT_TYPES}


def test_an_unknown_event_is_answered_with_those_that_are_known(local: Local) -> None:
    ran = local.run(sys.executable, "-m", "programs.local.trigger", "customer.subscription.vanished")

    assert ran.returncode == 2
    assert "customer.subscription.vanished cannot be triggered. EVENT is one of:" in ran.stderr
    assert "  customer.subscription.updated" in ran.stderr.splitlines()


def test_an_organisation_without_a_subscription_is_named(local: Local) -> None:
    ran = local.run(sys.executable, "-m", "programs.local.trigger", "invoice.paid", "--organization", "nobody")

    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "nobody has no subscription" in ran.stderr


def test_the_servers_listen_for_this_machine_alone(local: Local) -> None:
    settings = json.loads((local.folder / "settings.json").read_text())
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    if not addresses:
        pytest.skip("this machine has no other address")
    for name in ("BILLING_API", "STRIPE_API_BASE", "AWS_ENDPOINT_URL_SQS"):
        port = int(settings[name].rpartition(":")[2])
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((addresses[0], port), timeout=2).close()


def test_a_function_of_a_container_cannot_reach_them_and_that_is_said_before_one_starts(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(local.folder))
    for name in json.loads((local.folder / "settings.json").read_text()):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sam, "check", lambda: None)

    with pytest.raises(invoke.CannotInvokeError, match="make local SAM=1"):
        invoke._options()


def test_a_second_one_is_refused_in_words(local: Local) -> None:
    second = local.run(sys.executable, "-m", "programs.local", *FREE_PORTS)

    assert second.returncode == 1
    assert f"`make local` runs already, as process {local.process.pid}." in second.stderr
    assert (local.folder / "settings.json").exists()
