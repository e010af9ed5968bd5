from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from programs.local.cloudformation import TEMPLATE_PATH


@pytest.fixture
def changed_template(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes the template with one text replaced, wherever it stands."""

    def change(before: str, after: str) -> Path:
        text = TEMPLATE_PATH.read_text(encoding="utf-8")
        assert before in text
        for name in ("CodeUri", "ContentUri"):
            text = text.replace(f"{name}: ", f"{name}: {TEMPLATE_PATH.parent}/")
        template = tmp_path / "template.yaml"
        template.write_text(text.replace(before, after), encoding="utf-8")
        return template

    return change
