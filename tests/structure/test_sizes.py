"""Rooms of one purpose: no file and no function grows until nobody reads it whole."""

from __future__ import annotations

import ast

from tests.structure.sources import files, name_of, nodes

LONGEST_FILE_LINES, LONGEST_FUNCTION_LINES = 300, 40
# The template is CloudFormation's; tools write the others.
LONG_FILES = {"template.yaml", "uv.lock", "docs/openapi.json", "layers/dependencies/requirements.txt"}
# A command's options are its signature.
LONG_FUNCTIONS = "operations/commands/"
NOT_TEXT = (".png", ".ico", ".pyc")


def test_no_file_is_longer_than_can_be_read_in_one_go() -> None:
    lines = {
        name_of(path): path.read_text(encoding="utf-8").count("\n")
        for path in files()
        if not path.name.endswith(NOT_TEXT) and name_of(path) not in LONG_FILES
    }

    assert {name: count for name, count in lines.items() if count > LONGEST_FILE_LINES} == {}
    assert len(lines) > 300, "all files are looked at"


def test_no_function_is_longer_than_can_be_seen_at_once() -> None:
    lines = {
        f"{name_of(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in files(ending=".py")
        if not name_of(path).startswith(LONG_FUNCTIONS)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.end_lineno is not None
    }

    assert {name: count for name, count in lines.items() if count > LONGEST_FUNCTION_LINES} == {}
    assert len(lines) > 1000, "all functions are looked at"
