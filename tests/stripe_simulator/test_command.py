"""`python -m stripe_simulator`: its help, its end, and an address that it cannot have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stripe_simulator import Simulator

COMMAND = [sys.executable, "-m", "stripe_simulator"]


def test_the_help_fits_into_80_columns() -> None:
    environment = os.environ | {"COLUMNS": "80"}
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True, env=environment).stdout
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "docs/stripe-simulator.md" in shown


def test_a_busy_port_is_told_in_words(simulator: Simulator) -> None:
    port = simulator.base_url.rpartition(":")[2]
    ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr == f"Cannot listen on 127.0.0.1, port {port}: the port is in use; choose another with --port.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_simulator_ends_in_words(number: signal.Signals) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "--port", "0"], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Simulated Stripe at http://127.0.0.1:")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (0, "Stopped.\n", "")


@pytest.mark.enable_socket
def test_both_destinations_sign_with_the_secret_of_the_command_line() -> None:
    urls = ["--webhook-url", "http://127.0.0.1:1/a", "--thin-webhook-url", "http://127.0.0.1:1/b"]
    command = [*COMMAND, "--port", "0", *urls, "--webhook-secret", "whsec_a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
    assert [line.split()[-1] for line in lines[1:]] == ["whsec_a", "whsec_a"]


@pytest.mark.parametrize(("option", "message"), [("--port=70000", "70000 is no port"), ("--host=256.0.0.1", "listen")])
def test_an_address_that_cannot_be_is_told_in_words(option: str, message: str) -> None:
    ended = subprocess.run([*COMMAND, option], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
