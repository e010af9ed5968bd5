"""What subscriptions of one customer owe together: computed from values."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.clock import HOUR, format_time
from billing.invoices.owed import balance
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription
from billing.periods import InvoiceOfPeriod, Period
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, READINGS

NOW = MONTH_2 + 3 * HOUR
OPEN = MeteredSubscription("sub_open", "cus_1", MONTH_2, None, (READINGS,), (MONTH_2, MONTH_2 + timedelta(days=31)))


def settled(subscription_id: str, month: int, counted: int, invoiced: int, customer_id: str = "cus_1") -> Period:
    """Return the first or the second month of a subscription."""
    starts_at, ends_at = ((BEGIN, MONTH_1), (MONTH_1, MONTH_2))[month]
    return Period(
        BillingPeriod(subscription_id, customer_id, starts_at, ends_at),
        "closed",
        invoices={f"in_{subscription_id}{month}": InvoiceOfPeriod("paid", {READINGS: invoiced}, closes=True)},
        meters=(READINGS,),
        counted={READINGS: counted},
    )


@pytest.mark.parametrize(
    ("periods", "carried", "told"),
    [
        # One after the other: what the first lacks, the second has billed already.
        ([settled("sub_a", 0, 100, 60), settled("sub_b", 1, 50, 90)], 0, {}),
        ([settled("sub_a", 0, 100, 60), settled("sub_b", 1, 50, 50)], 40, {}),
        # And what the first billed too much is not billed again.
        ([settled("sub_a", 0, 60, 110), settled("sub_b", 1, 50, 20)], 0, {"sub_a": 20}),
        ([settled("sub_a", 0, 60, 70), settled("sub_b", 1, 50, 20)], 20, {}),
        # At once: what is used is on the invoices of both, and what is carried as well.
        ([settled("sub_a", 0, 100, 60), settled("sub_b", 0, 100, 60)], 40, {}),
        ([settled("sub_a", 0, 100, 60), settled("sub_b", 0, 100, 100)], 40, {}),
        ([settled("sub_a", 0, 100, 100), settled("sub_b", 0, 60, 100)], 0, {"sub_b": 40}),
        ([settled("sub_a", 0, 60, 70), settled("sub_b", 0, 60, 90)], 0, {"sub_a": 10, "sub_b": 30}),
        # Another customer pays for itself.
        ([settled("sub_a", 0, 100, 60, "cus_2"), settled("sub_b", 1, 50, 90)], 0, {"sub_b": 40}),
    ],
)
def test_what_subscriptions_owe_together(periods: list[Period], carried: int, told: dict[str, int]) -> None:
    result = balance(periods, [OPEN], NOW, carries=True)

    in_hours = [carry.carried for carry in result.carries]
    assert in_hours == ([{format_time(MONTH_2): {READINGS: carried}}] if carried else [])
    too_much = {key[0]: codes["too_much"][READINGS] for key, codes in result.told.items() if "too_much" in codes}
    assert too_much == told
