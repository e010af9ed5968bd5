"""Every call around a renewal fails once, or the process dies at it: what is invoiced is what was counted."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from billing.clock import HOUR
from billing.webhooks import ledger
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, Life
from tests.support.calls import Call, Calls, Crash, hook
from tests.support.faults import CrashAfter, CrashBefore, Failing, InConflict, NoResponse

if TYPE_CHECKING:
    from programs.local.stack import Stack

FAULTS = (CrashBefore(), CrashAfter(), NoResponse(has_effect=True), Failing(), InConflict())
# More calls than the part of the story has in which they are disturbed.
MOST_CALLS = 180
SAMPLED = range(5, MOST_CALLS, 22)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", 0)
    return hook(monkeypatch)


def live(stack: Stack, calls: Calls, number: int, fault: Any) -> tuple[Life, bool]:
    """Live through a renewal at which 300 readings come late; disturb one call of that time.

    Return the life and whether there was such a call.
    """
    calls.stripe_faults = stack.simulator.faults
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    life.go_to(MONTH_1 - HOUR / 4)

    positions = count()

    def disturb(_: int, call: Call) -> Any:
        # Scans of the usage are the test's own, and so is what it counts.
        is_scan = call.name == "dynamodb:Scan" and call.request["TableName"] == "UsageTable"
        is_count = call.name == "dynamodb:TransactWriteItems" and "ClientRequestToken" in call.request
        return fault if not is_scan and not is_count and next(positions) == number else None

    # A delivery that dies is no response to Stripe, which delivers again.
    with calls.watched(disturb):
        for moment in (MONTH_1 + 2 * HOUR, MONTH_1 + 6 * HOUR, MONTH_1 + 9 * HOUR, MONTH_1 + 20 * HOUR):
            if moment == MONTH_1 + 9 * HOUR:
                life.count(300, BEGIN + 30 * HOUR)
            while True:
                try:
                    life.go_to(moment)
                    break
                except Crash:
                    pass
        was_disturbed = bool(calls.disturbed)
    life.go_to(MONTH_2 + 8 * HOUR)
    return life, was_disturbed


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize(
    "number",
    [each if each in SAMPLED else pytest.param(each, marks=pytest.mark.deep) for each in range(MOST_CALLS)],
)
def test_a_call_fails_around_a_renewal(stack: Stack, calls: Calls, number: int, fault: Any) -> None:
    life, _ = live(stack, calls, number, fault)

    assert (life.invoiced(), life.counted) == (660, 660)


def test_the_disturbed_calls_are_all_of_them(stack: Stack, calls: Calls) -> None:
    _, was_disturbed = live(stack, calls, MOST_CALLS, CrashBefore())

    assert not was_disturbed, next(iter(calls.names), None)
