"""Which change of a period is which event: without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.billing_events.changes import period_events
from billing.metered_subscriptions import BillingPeriod
from billing.periods import InvoiceOfPeriod, Period

READINGS = "temperature_readings"
SPAN = BillingPeriod("sub_1", "cus_1", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
INVOICE = InvoiceOfPeriod("open", {READINGS: 5}, closes=True)
OPEN = Period(SPAN, meters=(READINGS,))
CLOSED = replace(OPEN, state="closed", invoices={"in_1": INVOICE}, counted={READINGS: 5})


def types(before: Period | None, after: Period | None, *, is_retold: bool = False) -> list[str]:
    return [event.detail_type for event in period_events(before, after, is_retold=is_retold)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, OPEN, []),
        (OPEN, replace(OPEN, state="draft", invoices={"in_1": INVOICE}), []),
        (OPEN, CLOSED, ["InvoiceClosed"]),
        (CLOSED, replace(CLOSED, carried_why=("why",)), []),
        (CLOSED, replace(CLOSED, late_hours=("2026-11-01T08:00:00Z",)), []),
        (CLOSED, replace(CLOSED, counted={READINGS: 7}), ["InvoiceClosed"]),
        (CLOSED, replace(CLOSED, told={"not_carried": {READINGS: 2}}), ["InvoiceDiffers"]),
        (replace(CLOSED, told={"not_carried": {READINGS: 2}}), CLOSED, ["InvoiceDiffers"]),
        (CLOSED, replace(CLOSED, missing=("active_sensors",)), ["InvoiceDiffers"]),
        (OPEN, replace(OPEN, reached={READINGS: {"10": 12, "5": 12}}), ["UsageThresholdReached"] * 2),
        (replace(OPEN, reached={READINGS: {"5": 6}}), replace(OPEN, reached={READINGS: {"5": 6}}), []),
        (CLOSED, None, []),
    ],
)
def test_a_change_is_told_by_what_it_changes(before: Period | None, after: Period | None, told: list[str]) -> None:
    assert types(before, after) == told


def test_what_is_retold_is_all_that_is_so() -> None:
    whole = replace(CLOSED, told={"too_much": {READINGS: 1}}, reached={READINGS: {"5": 5}})

    assert types(whole, whole, is_retold=True) == ["InvoiceClosed", "InvoiceDiffers", "UsageThresholdReached"]


@pytest.mark.parametrize(
    ("changes", "agrees"),
    [
        ({}, True),
        ({"counted": {READINGS: 6}}, False),
        ({"counted": {READINGS: 3}, "carried": {"2026-11-02T00:00:00Z": {READINGS: 2}}}, True),
        ({"span": replace(SPAN, is_trial=True), "counted": {READINGS: 9}}, True),
        ({"is_damaged": True}, False),
        # The invoice before billed the hour in which this period begins, or this one shows that it did not.
        ({"counted": {READINGS: 8}, "in_first_hour": {READINGS: 3}}, True),
        ({"counted": {READINGS: 8}, "in_first_hour": {READINGS: 3}, "last_hour_is": "next"}, False),
        ({"counted": {READINGS: 8}, "in_first_hour": {READINGS: 2}}, False),
    ],
)
def test_an_invoice_agrees_with_what_was_counted_and_carried(changes: dict[str, Any], agrees: bool) -> None:
    (closed,) = period_events(OPEN, replace(CLOSED, **changes), is_retold=False)
    assert closed.detail["agrees"] is agrees
