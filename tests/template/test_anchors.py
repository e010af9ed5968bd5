"""House rules for YAML's anchors: each is used, and CloudFormation, which knows none of them, never sees one."""

from __future__ import annotations

from collections import Counter

import yaml
from samcli.yamlhelper import yaml_dump, yaml_parse  # type: ignore[import-untyped]  # has no type hints

from programs.local.cloudformation import TEMPLATE_PATH

SOURCE = TEMPLATE_PATH.read_text(encoding="utf-8")


def _anchors(text: str) -> set[str]:
    return {token.value for token in yaml.scan(text, yaml.SafeLoader) if isinstance(token, yaml.AnchorToken)}


def _aliases(text: str) -> Counter[str]:
    return Counter(token.value for token in yaml.scan(text, yaml.SafeLoader) if isinstance(token, yaml.AliasToken))


def test_what_sam_deploys_has_every_anchor_resolved() -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
    written: str = yaml_dump(yaml_parse(SOURCE))

    assert not _anchors(written)
    assert not _aliases(written)
    assert not [token for token in yaml.scan(written, yaml.SafeLoader) if getattr(token, "value", None) == "<<"]


def test_every_anchor_is_used_and_made_once() -> None:
    made = [token.value for token in yaml.scan(SOURCE, yaml.SafeLoader) if isinstance(token, yaml.AnchorToken)]

    assert set(made) == set(_aliases(SOURCE))
    assert len(made) == len(set(made))
