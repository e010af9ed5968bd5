"""Where `make local` writes its settings, for a shell, the other programs here and the containers of `sam local`.

.cache/local/env.sh            for a shell: . .cache/local/env.sh
.cache/local/settings.json     the same, for the programs
.cache/local/containers.json   for `sam local --env-vars`, as seen from a container
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stripe_simulator import SimulatorClient

ROOT = Path(__file__).parents[2]
FOLDER_VARIABLE = "LOCAL_FOLDER"
CONTAINERS_VARIABLE = "LOCAL_CONTAINERS"
"""`true` where the servers listen on all addresses, so that containers reach them."""
OWN_CREDENTIALS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "STRIPE_SECRET_ARN")
"""What would lead to an account of AWS, or to another Stripe."""
CONTAINERS_HOST = "host.docker.internal"


class NotRunningError(Exception):
    """`make local` is not running; the message says what to do."""


def folder() -> Path:
    """Return where the files are: `.cache/local`, or what LOCAL_FOLDER names."""
    return Path(os.environ.get(FOLDER_VARIABLE) or ROOT / ".cache" / "local")


def shown(path: Path) -> str:
    """Return a path as somebody in the repository types it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


@contextlib.contextmanager
def written(settings: Mapping[str, str], containers: Mapping[str, Any]) -> Iterator[None]:
    """Write the files, and remove them at the end: settings of servers that are gone lead nowhere."""
    files = {
        "env.sh": shell_lines(settings),
        "settings.json": json.dumps(settings, indent=2),
        "containers.json": json.dumps(containers, indent=2),
    }
    try:
        for name, text in files.items():
            (folder() / name).write_text(text, encoding="utf-8")
        yield
    finally:
        for name in files:
            (folder() / name).unlink(missing_ok=True)


def shell_lines(settings: Mapping[str, str]) -> str:
    """Return what a shell reads: the settings, the way to the programs, and nothing of one's own AWS account."""
    exported = {**settings, FOLDER_VARIABLE: str(folder().resolve())}
    lines = [
        "# Written by `make local`, for the time that it runs.",
        f"unset {' '.join(OWN_CREDENTIALS)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
        f"export PYTHONPATH={shlex.quote(f'{ROOT}:{ROOT}/layers/billing')}",
        f'export PATH={shlex.quote(f"{ROOT}/.venv/bin")}:"$PATH"',
    ]
    return "\n".join([*lines, ""])


def is_reached_by_containers() -> bool:
    """Say whether the servers of the `make local` that runs listen for containers too."""
    return os.environ.get(CONTAINERS_VARIABLE) == "true"


def connect() -> SimulatorClient:
    """Take over the settings of the `make local` that runs; return the way to its Stripe.

    Raises:
        NotRunningError: none runs.
    """
    missing = NotRunningError("`make local` is not running: start it in another terminal, and try again.")
    try:
        settings = json.loads((folder() / "settings.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing from None
    for name in OWN_CREDENTIALS:
        os.environ.pop(name, None)
    os.environ.update(settings)
    simulator = SimulatorClient(settings["STRIPE_API_BASE"])
    try:
        simulator.now()
    except OSError:
        raise missing from None
    return simulator
