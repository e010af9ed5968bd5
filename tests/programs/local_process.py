"""A `make local` in a process of its own, for the tests of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from programs.local.environment import FOLDER_VARIABLE, ROOT

FREE_PORTS = ("--api-port", "0", "--stripe-port", "0", "--sqs-port", "0", "--bus-port", "0", "--dynamodb-port", "0")
START_SECONDS, END_SECONDS = 90, 15


@dataclass(frozen=True)
class Local:
    """A `make local` in a process of its own, on free ports, and its folder."""

    folder: Path
    process: subprocess.Popen[str]

    def printed(self) -> str:
        return (self.folder / "printed").read_text()

    def children(self) -> set[str]:
        """Return what the process started: on Linux, where /proc tells."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return set(path.read_text().split()) if path.exists() else set()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run_in(self.folder, *command)


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has this folder for its settings, until it ends."""
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment_of(folder), timeout=120)


def environment_of(folder: Path) -> dict[str, str]:
    """Return an environment as a terminal has it, with an AWS account that nothing may reach."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "STRIPE_", "DYNAMODB_"))}
    own |= {"AWS_PROFILE": "somebody-elses", "PYTHONPATH": f"{ROOT}:{ROOT}/layers/billing"}
    return own | {FOLDER_VARIABLE: str(folder)}


def started(folder: Path, *options: str) -> Local:
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "programs.local", *FREE_PORTS, *options],
            stdout=printed,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment_of(folder),
        )
    return Local(folder, process)


def ready(local: Local) -> Local:
    deadline = time.monotonic() + START_SECONDS
    while not (local.folder / "commands.txt").exists():
        assert local.process.poll() is None, local.printed()
        assert time.monotonic() < deadline, local.printed()
        time.sleep(0.1)
    return local


def end(local: Local, number: signal.Signals = signal.SIGINT) -> int:
    local.process.send_signal(number)
    return local.process.wait(END_SECONDS)
