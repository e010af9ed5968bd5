"""Which of an organisation's subscriptions its record follows, and what it remembers of the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.choice import Found, StoredSubscription, billed_twice, choose, is_conflict
from billing.webhooks.decision import (
    leaves_a_link,
)
from billing.webhooks.events import Pointer
from tests.webhooks.values import HOUR, NOON, READINGS, STORED, fetched, subscription


def followed(*subscriptions: StripeSubscription, record: StoredSubscription | None = None) -> str | None:
    chosen = choose(Found(subscriptions, {"cus_1"}, NOON), record)
    return None if chosen is None else chosen.subscription.subscription_id


@pytest.mark.parametrize("status", ["unpaid", "paused", "incomplete"])
def test_what_bills_is_followed_before_what_lives_and_before_the_ended(status: str) -> None:
    ended = subscription(subscription_id="sub_3", status="canceled", created=3)
    living = subscription(subscription_id="sub_2", status=status, created=2)
    older, newer = subscription(subscription_id="sub_0", created=0), subscription(created=1, status="past_due")

    assert followed(ended, older, living, newer) == "sub_1"
    assert followed(ended, living) == "sub_2"
    assert followed(ended) == "sub_3"


def test_another_products_subscription_is_never_followed() -> None:
    support = subscription(subscription_id="sub_support", created=9, meters=())
    ended = subscription(status="canceled", ended_at=NOON)

    assert followed(support, subscription()) == "sub_1"
    assert followed(support, ended) == "sub_1"
    assert followed(support) is None
    assert fetched(support, ended).metered_subscriptions == fetched(ended).metered_subscriptions


def test_a_subscription_that_no_longer_sells_a_meter_is_followed_as_long_as_nothing_else_does() -> None:
    support = subscription(meters=())

    assert followed(support, record=STORED) == "sub_1"
    assert fetched(support, record=STORED).metered_subscriptions == ()
    assert followed(support, subscription(subscription_id="sub_2", created=0), record=STORED) == "sub_2"


def test_a_checkout_that_was_never_finished_sells_nothing() -> None:
    for status in ("incomplete", "incomplete_expired"):
        assert fetched(subscription(status=status)).metered_subscriptions == ()
    paid = fetched(subscription())
    assert leaves_a_link(replace(STORED, status="incomplete", metered_subscriptions=()), paid)


def test_a_subscription_that_ended_longer_ago_than_stripe_takes_usage_is_forgotten() -> None:
    ended = subscription(status="canceled", started_at=NOON - timedelta(days=90), ended_at=NOON - timedelta(days=35))

    assert fetched(ended).metered_subscriptions == ()
    assert len(fetched(replace(ended, ended_at=NOON - timedelta(days=34))).metered_subscriptions) == 1


BUYER = Pointer("sub_2", "cus_2", "acme", is_buyers_word=True)


@pytest.mark.parametrize(
    ("pointer", "record", "named", "is_refused"),
    [
        (BUYER, STORED, None, True),
        (BUYER, None, None, False),
        (BUYER, replace(STORED, customer_ids=None, stripe_customer_id=None), None, False),
        (replace(BUYER, customer_id="cus_1"), STORED, None, True),
        (BUYER, replace(STORED, customer_ids={"cus_1", "cus_2"}), None, False),
        (BUYER, STORED, "acme", False),
        (replace(BUYER, is_buyers_word=False), STORED, None, False),
    ],
)
def test_a_buyers_word_moves_nobody_who_has_a_customer(
    pointer: Pointer, record: StoredSubscription | None, named: str | None, is_refused: bool
) -> None:
    strangers = subscription(subscription_id="sub_2", customer_id="cus_2", organization_id=named)
    found = Found([subscription(), strangers], {"cus_1", "cus_2"}, NOON)

    assert is_conflict(pointer, record, found, relinks=False) is is_refused


@pytest.mark.parametrize(("status", "is_refused"), [("active", True), ("unpaid", True), ("canceled", False)])
def test_with_the_setting_a_buyers_word_moves_an_organisation_without_a_living_subscription(
    status: str, is_refused: bool
) -> None:
    strangers = subscription(subscription_id="sub_2", customer_id="cus_2")
    found = Found([subscription(status=status), strangers], {"cus_1", "cus_2"}, NOON)

    assert is_conflict(BUYER, STORED, found, relinks=True) is is_refused


def test_two_subscriptions_that_bill_one_meter_are_named() -> None:
    other = subscription(subscription_id="sub_2", meters=("active_sensors", *READINGS), status="trialing")
    apart = subscription(subscription_id="sub_3", meters=("active_sensors",))

    assert set(billed_twice(fetched(subscription(), other))) == {"sub_1", "sub_2"}
    assert billed_twice(fetched(subscription(), apart)) == ()
    assert billed_twice(fetched(subscription(), replace(other, status="paused"))) == ()
    assert billed_twice(fetched(subscription(meters=()), replace(other, meters=()), apart)) == ()


NEXT = NOON + timedelta(days=30)


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, (NOON, NEXT)),
        ({"started_at": NOON - 3 * HOUR}, (NOON - 3 * HOUR, NOON, NEXT)),
        ({"cancel_at_period_end": True}, (NOON,)),
        ({"cancel_at": NEXT}, (NOON,)),
        ({"cancel_at": NEXT - HOUR}, (NOON,)),
        ({"cancel_at": NEXT + HOUR}, (NOON, NEXT)),
        ({"status": "canceled", "ended_at": NOON + HOUR}, (NOON,)),
        ({"status": "canceled", "ended_at": NEXT}, (NOON,)),
        ({"started_at": NOON - timedelta(days=40)}, (NOON - timedelta(days=40), NOON - timedelta(days=31), NOON, NEXT)),
    ],
)
def test_the_next_period_is_known_before_it_comes_unless_the_subscription_ends_by_then(
    changes: dict[str, Any], starts: tuple[datetime, ...]
) -> None:
    (metered,) = fetched(subscription(**changes)).metered_subscriptions

    assert metered.period_starts == starts


@pytest.mark.parametrize(
    ("started_at", "current", "following", "trial_end", "starts"),
    [
        # A month, of which the start's day is the anchor, or the last of the month.
        ("01-15", "10-31", "11-30", None, ["09-30", "10-31", "11-30"]),
        ("10-15", "11-15", "12-15", None, ["10-15", "11-15", "12-15"]),
        ("08-15", "11-15", "12-15", None, ["10-15", "11-15", "12-15"]),
        # Weeks; a year; a trial that is longer than a period.
        ("01-15", "11-20", "11-27", None, ["10-16", "10-23", "10-30", "11-06", "11-13", "11-20", "11-27"]),
        ("01-15", "01-15", "12-31", None, ["01-15", "12-31"]),
        ("08-01", "11-10", "12-10", "11-10", ["08-01", "11-10", "12-10"]),
        ("08-01", "11-10", "12-10", "10-10", ["10-10", "11-10", "12-10"]),
    ],
)
def test_without_a_record_the_periods_gone_by_are_those_of_the_calendar(
    started_at: str, current: str, following: str, trial_end: str | None, starts: list[str]
) -> None:
    def day(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-{text}T10:03:00+00:00")

    (metered,) = fetched(
        subscription(
            started_at=day(started_at),
            current_period_start=day(current),
            current_period_end=day(following),
            trial_end=day(trial_end) if trial_end else None,
        )
    ).metered_subscriptions

    assert metered.period_starts == tuple(map(day, starts))


def test_periods_that_have_gone_by_are_remembered_and_one_that_did_not_come_is_not() -> None:
    renewed = subscription(current_period_start=NEXT, current_period_end=NEXT + timedelta(days=30))
    (metered,) = fetched(renewed, record=STORED).metered_subscriptions
    assert metered.period_starts == (NOON, NEXT, NEXT + timedelta(days=30))

    moved = subscription(current_period_end=NOON + timedelta(days=9))
    (metered,) = fetched(moved, record=STORED).metered_subscriptions
    assert metered.period_starts == (NOON, NOON + timedelta(days=9))
