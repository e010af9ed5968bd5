"""The version before bills, this one is deployed over it, and every hour is billed once (docs/upgrading.md)."""

from __future__ import annotations

import pytest

from programs.rehearsal import version_before
from programs.rehearsal.upgrade import rehearse_upgrade

pytestmark = pytest.mark.filterwarnings("ignore")  # moto's, about what its CloudFormation does not know


@pytest.mark.skipif(
    not version_before.is_known(), reason=f"the version before, {version_before.COMMIT}, is not in this copy's history"
)
def test_an_upgrade_loses_no_hour_and_bills_none_twice(dynamodb_endpoint: str) -> None:
    lines: list[str] = []

    exit_code = rehearse_upgrade(lines.append, dynamodb_endpoint)

    assert exit_code == 0, "\n".join(lines)
