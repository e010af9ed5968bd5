"""Read template.yaml, with CloudFormation's short tags as the functions they stand for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE_PATH = Path(__file__).parents[2] / "template.yaml"


class _ShortTagLoader(yaml.SafeLoader):
    """Load `!Ref X` as `{"Ref": "X"}` and `!GetAtt A.B` as `{"Fn::GetAtt": ["A", "B"]}`."""


def _function_of_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_ShortTagLoader.add_multi_constructor("!", _function_of_tag)


def read_template(path: Path = TEMPLATE_PATH) -> dict[str, Any]:
    """Return the template as plain dictionaries and lists, the same ones each time: copy what you change."""
    return _parsed(path.read_text(encoding="utf-8"))


@cache  # nearly each test asks for it, and reading YAML takes longer than most of them
def _parsed(text: str) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(text, Loader=_ShortTagLoader)  # noqa: S506
    return template
