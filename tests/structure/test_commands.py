"""The commands that the documentation gives can be pasted: into bash and zsh, on Linux and on macOS."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.sources import ROOT, files, name_of

# Whoever follows these has nothing yet, and pastes block by block.
PASTED = ("README.md", "docs/deploy.md", "docs/upgrading.md")
SHELLS = [shell for shell in ("bash", "zsh") if shutil.which(shell)]


def blocks(path: Path) -> Iterator[str]:
    """Yield the indented blocks of a page; what is fenced is no command."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in re.findall(r"(?<=\n\n)(?: {4,}\S.*\n)+", text):
        yield re.sub(r"^ {4,7}", "", block, flags=re.MULTILINE)


def pasted_blocks() -> list[str]:
    return [block for name in PASTED for block in blocks(ROOT / name)]


def test_the_pages_have_commands() -> None:
    assert len(pasted_blocks()) >= 15
    assert any("aws lambda invoke" in block for block in pasted_blocks())


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_can_read_every_block(shell: str) -> None:
    for block in pasted_blocks():
        read = subprocess.run([shell, "-n"], input=block, capture_output=True, text=True, check=False)
        assert read.returncode == 0, f"{block}\n{read.stderr}"


def test_no_pasted_block_has_a_comment() -> None:
    # zsh takes `#` for a word where commands are pasted, so that make looks for a target of that name.
    assert [block for block in pasted_blocks() if re.search(r"(^|\s)#\s", block)] == []


def test_what_waits_for_an_answer_is_pasted_alone() -> None:
    # Else the rest of the block is the answer.
    assert [block for block in pasted_blocks() if re.search(r"^read ", block) and block.count("\n") > 1] == []


def test_no_command_is_of_one_system_alone() -> None:
    only_gnu = re.compile(r"\bdate\b[^|)\n]* (-d|--date)\b|\bsed -i\b(?! '')|\breadlink -f\b|\bbase64 -w")

    found = [name_of(path) for path in files("README.md", "docs", ending=".md") if only_gnu.search(path.read_text())]

    assert found == []


def test_whoever_invokes_a_function_waits_for_it() -> None:
    pages = {name_of(path): path.read_text() for path in files("README.md", "docs", ending=".md")}
    invocations = [
        (name, text[match.start() : match.start() + 220])
        for name, text in pages.items()
        for match in re.finditer(r"aws lambda invoke", text)
    ]

    assert invocations
    assert [each for each in invocations if "--cli-read-timeout 0" not in each[1]] == []
