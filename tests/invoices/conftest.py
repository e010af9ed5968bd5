from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.invoices.explained import problems_of

if TYPE_CHECKING:
    from programs.local.stack import Stack


@pytest.fixture(params=["timestamp", "beginning_period", "ending_period"])
def boundary(request: pytest.FixtureRequest, stack: Stack) -> str:
    """Let Stripe bill the hour of a boundary in each of the ways that its pages leave open."""
    stack.simulator.settings.update({"boundary_window": request.param})
    return str(request.param)


@pytest.fixture(autouse=True)
def explanations_add_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """However a test has let an organisation live: what explains its final invoices adds up to their lines."""
    stack: Stack | None = request.getfixturevalue("stack") if "stack" in request.fixturenames else None
    yield
    if stack is not None:
        assert [problem for organization_id in stack.customers for problem in problems_of(stack, organization_id)] == []
