"""Lives at random: in the end every unit that was counted is on one final invoice, or on the list of what was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from billing.webhooks import ledger
from tests.invoices.random_life import RandomLife

if TYPE_CHECKING:
    from programs.local.stack import Stack

QUICK, DEEP = 8, 400


@pytest.mark.parametrize(
    "seed", [*range(QUICK), *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(QUICK, DEEP))]
)
def test_every_unit_is_invoiced_once_or_told(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, seed: int
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", "stream" if seed % 2 else "single")
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", 0)
    life = RandomLife(stack, seed)
    life.live()
    outcome = life.outcome()

    assert outcome.is_exact, (life.story, outcome)
