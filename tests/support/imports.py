"""What a fresh interpreter loads."""

from __future__ import annotations

import os
import subprocess
import sys


def modules_after(statement: str) -> set[str]:
    """Return the names of all modules that a new process has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return set(subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).split())
