"""How `make local` starts, ends and fails, and what its programs say where it does not run."""

from __future__ import annotations

import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from programs.local import invoke, sam
from programs.local.environment import FOLDER_VARIABLE, NotRunningError, connect
from tests.programs.local_process import FREE_PORTS, end, ready, run_in, started


@pytest.mark.enable_socket
def test_a_busy_port_is_named_with_another(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ran = run_in(tmp_path, sys.executable, "-m", "programs.local", *FREE_PORTS, "--stripe-port", str(port))

    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"In use by another program: port {port}. End it, or take others:" in ran.stderr
    assert f'make local ARGS="--stripe-port {port + 1}"' in ran.stderr


def test_it_ends_quickly_with_all_that_it_started(dynamodb_endpoint: str, tmp_path: Path) -> None:
    local = ready(started(tmp_path))
    children = local.children()
    assert children or sys.platform != "linux"

    assert end(local) == 0

    assert local.printed().splitlines()[-1] == "Ended."
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    assert not (tmp_path / "settings.json").exists()
    assert not (tmp_path / "env.sh").exists()


def test_it_ends_quickly_while_it_starts(dynamodb_endpoint: str, tmp_path: Path) -> None:
    local = started(tmp_path)
    while "Starting" not in local.printed():
        time.sleep(0.05)
    time.sleep(1.5)
    children = local.children()

    assert end(local, signal.SIGTERM) == 0

    assert [child for child in children if Path(f"/proc/{child}").exists()] == []


@pytest.mark.parametrize("program", ["trigger", "usage", "advance"])
def test_a_program_says_that_nothing_runs(tmp_path: Path, program: str) -> None:
    arguments = {"trigger": ["invoice.paid"], "usage": ["acme", "active_sensors", "1"], "advance": ["--hours", "1"]}
    ran = run_in(tmp_path, sys.executable, "-m", f"programs.local.{program}", *arguments[program])

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "`make local` is not running: start it in another terminal, and try again.\n"


@pytest.mark.enable_socket
def test_settings_of_servers_that_are_gone_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("STRIPE_API_BASE", "")
    (tmp_path / "settings.json").write_text('{"STRIPE_API_BASE": "http://127.0.0.1:1"}')

    with pytest.raises(NotRunningError):
        connect()


@pytest.mark.parametrize(("event", "said"), [("events/stripe/nothing.json", "There is no file"), ("", "EVENT is")])
def test_a_missing_event_file_is_said_before_a_container_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], event: str, said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke", "StripeWebhookFunction", event])
    monkeypatch.setattr(sam, "check", lambda: pytest.fail("it looked for Docker"))

    assert invoke.main() == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(said)
    assert "  events/stripe/invoice_paid.json" in lines


def test_without_docker_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(sam.SamUnavailableError, match="Docker is not installed"):
        sam.check()
