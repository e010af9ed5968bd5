"""Break every promise in a copy of the project, run the tests that guard it, and say which of them noticed.

`make test-mutants`, or `python -m programs.mutants --only settling` for the promises that contain a word.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue

from programs.mutants.mutant import Mutant
from programs.mutants.promises import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
TESTS_FAILED = 1
LONGEST_SECONDS = 600


@contextmanager
def copied_project() -> Iterator[Path]:
    """Copy what git knows or would add, and share what was downloaded."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    with tempfile.TemporaryDirectory(prefix="sensor-billing-mutant-") as folder:
        for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, Path(folder) / name)
        if (ROOT / ".cache").is_dir():
            (Path(folder) / ".cache").symlink_to(ROOT / ".cache")
        yield Path(folder)


def broken_by(mutant: Mutant, project: Path) -> str | None:
    """Return which test fails when the promise is broken, or None.

    Raises:
        RuntimeError: the tests could not be run, so that nothing is known.
    """
    path = project / mutant.file
    whole = path.read_text()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path.write_text(whole.replace(mutant.code, mutant.broken))
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-qx", "-m", "not deep", "--tb=no", *shlex.split(mutant.tests)],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
    finally:
        path.write_text(whole)
    if run.returncode not in (0, TESTS_FAILED):
        raise RuntimeError(
            f"pytest {mutant.tests} ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        )
    failed = [line for line in run.stdout.splitlines() if line.startswith("FAILED ")]
    return failed[0].split("::")[1].split(" ")[0] if failed else None


def main() -> int:
    """Break the promises and print a line for each; 1 where a broken one went unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m programs.mutants", description=main.__doc__)
    parser.add_argument("--only", default="", help="only the promises that contain this")
    mutants = [mutant for mutant in MUTANTS if parser.parse_args().only in mutant.promise]
    projects: Queue[Path] = Queue()

    def broken(mutant: Mutant) -> str | None:
        project = projects.get()
        try:
            return broken_by(mutant, project)
        finally:
            projects.put(project)

    unnoticed = 0
    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in range(os.cpu_count() or 1):
            projects.put(stack.enter_context(copied_project()))
        for mutant, test in zip(mutants, threads.map(broken, mutants), strict=True):
            unnoticed += test is None
            print(f"{'noticed ' if test else 'UNNOTICED'} {mutant.promise}: {test or mutant.tests}", flush=True)
    print(f"{len(mutants)} promises broken, {unnoticed} unnoticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
