"""The project's files, as a reader finds them; what is hidden or built is not among them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files(*folders: str, ending: str = "") -> Iterator[Path]:
    """Yield the files whose name ends so, of these folders or of all."""
    for folder in folders or sorted(path.name for path in ROOT.iterdir()):
        if not folder.startswith(".") and folder != "build":
            path = ROOT / folder
            for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
                parts = each.relative_to(ROOT).parts
                if each.is_file() and each.name.endswith(ending) and not any(map(_is_made_by_tools, parts)):
                    yield each


def _is_made_by_tools(part: str) -> bool:
    return part == "__pycache__" or part.startswith(".")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    """Yield everything that a Python file holds."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported_modules(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
