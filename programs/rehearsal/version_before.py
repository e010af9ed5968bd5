"""The version that an upgrade begins with, taken from the history of the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from programs.rehearsal.package import ROOT

COMMIT = "9ae406d"
"""The last version before this one: move it to a version when that is released."""


def is_known(commit: str = COMMIT) -> bool:
    """Say whether the history has a commit; a copy without history, or with a part of it, may not."""
    try:
        command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False  # there is no git


def unpack(folder: Path, commit: str = COMMIT) -> Path:
    """Write a commit's files into a folder, and return it."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder
