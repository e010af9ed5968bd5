from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from programs.local.stack import Stack


@pytest.fixture(params=["timestamp", "beginning_period", "ending_period"])
def boundary(request: pytest.FixtureRequest, stack: Stack) -> str:
    """Let Stripe bill the hour of a boundary in each of the ways that its pages leave open."""
    stack.simulator.settings.update({"boundary_window": request.param})
    return str(request.param)
