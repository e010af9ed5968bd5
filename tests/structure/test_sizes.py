"""Rooms of one purpose: no file and no function grows until nobody reads it whole."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
# The template is CloudFormation's; a command's options are its signature.
LONG_FILES, LONG_FUNCTIONS = {"template.yaml"}, "operations/commands/"

LISTED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
FILES = [name for name in LISTED.stdout.split("\n") if (ROOT / name).is_file()]
WRITTEN = [name for name in FILES if name.endswith((".py", ".md", ".toml", ".sh", ".yaml")) and name not in LONG_FILES]
PYTHON = [name for name in FILES if name.endswith(".py")]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_is_read_in_one_go(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").count("\n")

    assert lines <= LONGEST_FILE, f"{name} has {lines} lines: which of its purposes has a room of its own?"


@pytest.mark.parametrize("name", [name for name in PYTHON if not name.startswith(LONG_FUNCTIONS)])
def test_a_function_is_seen_at_once(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno is not None}

    assert {name: length for name, length in long.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("name", [name for name in PYTHON if name.startswith(("tests/", "programs/"))])
def test_no_test_file_imports_another(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert [module for module in imported if module.rpartition(".")[2].startswith("test_")] == []
