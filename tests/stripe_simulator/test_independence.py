"""The simulator is a product of its own: it imports the standard library and itself, nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import stripe_simulator

ROOT = Path(stripe_simulator.__file__).parent


def imported_packages(path: Path) -> set[str]:
    """Return the first names of all modules that a file imports, wherever in it."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").partition(".")[0] if node.level == 0 else "stripe_simulator")
    return packages


def test_the_simulator_imports_the_standard_library_and_itself_only() -> None:
    others = {
        f"{path.name}: {package}"
        for path in ROOT.glob("**/*.py")
        for package in imported_packages(path) - sys.stdlib_module_names - {"stripe_simulator"}
    }
    assert others == set()
