"""What a delivery does next: every way out, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.metered_subscriptions import covering
from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.choice import Fetched, Found, StoredSubscription, billed_twice, choose, is_conflict
from billing.webhooks.decision import (
    End,
    FinishLinking,
    Progress,
    Reading,
    Record,
    Refresh,
    Step,
    changes,
    decide,
    leaves_a_link,
)
from billing.webhooks.events import Pointer, StripeEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

READINGS = ("temperature_readings",)
POINTER = Pointer("sub_1", "cus_1", None)
EVENT = StripeEvent("evt_1", "customer.subscription.updated", int(NOON.timestamp()), is_thin=False, subject={})
STORED = StoredSubscription(
    "acme",
    stripe_customer_id="cus_1",
    stripe_subscription_id="sub_1",
    customer_ids={"cus_1"},
    fetched_at=NOON - HOUR,
    fetched_from=6,
    version=7,
)


def subscription(**changes: Any) -> StripeSubscription:
    values: dict[str, Any] = {
        "subscription_id": "sub_1",
        "customer_id": "cus_1",
        "organization_id": None,
        "status": "active",
        "created": int(NOON.timestamp()),
        "started_at": NOON,
        "current_period_start": NOON,
        "current_period_end": NOON + timedelta(days=30),
        "cancel_at_period_end": False,
        "ended_at": None,
        "price_ids": ("price_1",),
        "meters": READINGS,
    }
    return StripeSubscription(**(values | changes))


def fetched(*subscriptions: StripeSubscription, record: StoredSubscription | None = None) -> Fetched:
    chosen = choose(Found(subscriptions, {"cus_1"}, NOON), record)
    assert chosen is not None
    return chosen


STORED = replace(STORED, metered_subscriptions=fetched(subscription()).metered_subscriptions)
COVERING = replace(STORED, fetched_at=NOON + timedelta(minutes=1))
LINKING = replace(COVERING, rearm_from=NOON - HOUR)


def step(
    record: StoredSubscription | None,
    *,
    is_recorded: bool = False,
    progress: Progress | None = None,
    event: StripeEvent = EVENT,
) -> Step:
    reading = Reading(is_recorded, record)
    return decide(event, POINTER, reading, (progress or Progress()).after(reading))


@pytest.mark.parametrize(
    ("record", "is_recorded", "expected"),
    [
        (None, False, Refresh()),
        (STORED, False, Refresh()),
        (COVERING, False, Record("already_reflected")),
        (LINKING, False, FinishLinking(LINKING)),
        (replace(LINKING, fetched_at=NOON - HOUR), False, Refresh()),
        (replace(COVERING, customer_ids={"cus_other"}), False, Refresh()),
        (replace(COVERING, customer_ids=None), False, Refresh()),
        (replace(COVERING, fetched_at=None), False, Refresh()),
        (replace(COVERING, fetched_at=NOON + timedelta(seconds=59)), False, Refresh()),
        (None, True, End("duplicate")),
        (STORED, True, End("duplicate")),
        (COVERING, True, End("duplicate")),
        (LINKING, True, FinishLinking(LINKING)),
        (replace(STORED, rearm_from=NOON), True, FinishLinking(replace(STORED, rearm_from=NOON))),
    ],
)
def test_every_reading_has_its_step(record: StoredSubscription | None, is_recorded: bool, expected: Step) -> None:
    assert step(record, is_recorded=is_recorded) == expected


def test_an_event_without_a_time_is_covered_only_by_a_fetch_from_a_newer_version() -> None:
    timeless = replace(EVENT, created=None)

    assert step(COVERING, event=timeless) == Refresh()
    seen = Progress(seen=6)
    assert step(replace(COVERING, fetched_from=6), event=timeless, progress=seen) == Refresh()
    assert step(replace(COVERING, fetched_from=7), event=timeless, progress=seen) == Record("already_reflected")


def test_the_version_that_was_seen_is_that_of_the_first_read() -> None:
    progress = Progress().after(Reading(False, replace(STORED, version=8)))
    assert progress.seen == 8
    assert progress.after(Reading(False, replace(STORED, version=9))).seen == 8
    assert Progress().after(Reading(False, None)).seen == 0


def test_the_outcome_stays_that_of_this_delivery_when_its_own_record_is_read_again() -> None:
    progress = Progress(outcome="processed").after(Reading(True, COVERING))

    assert progress.outcome == "processed"
    assert step(COVERING, is_recorded=True, progress=progress) == End("processed")


@pytest.mark.parametrize(
    ("before", "links"),
    [
        (None, True),
        (STORED, False),
        (replace(STORED, stripe_customer_id="cus_0"), True),
        (replace(STORED, stripe_subscription_id="sub_0"), True),
        (replace(STORED, ended_at=NOON - HOUR), True),
        (replace(STORED, rearm_from=NOON - HOUR), True),
        (replace(STORED, metered_subscriptions=None), True),
        (
            replace(STORED, metered_subscriptions=fetched(subscription(ended_at=NOON + HOUR)).metered_subscriptions),
            True,
        ),
        (
            replace(STORED, metered_subscriptions=fetched(subscription(started_at=NOON + HOUR)).metered_subscriptions),
            True,
        ),
    ],
)
def test_a_link_is_left_to_finish_when_refused_hours_may_have_become_billable(
    before: StoredSubscription | None, links: bool
) -> None:
    assert leaves_a_link(before, fetched(subscription())) is links


def test_what_is_as_it_was_is_not_written() -> None:
    values = changes(STORED, fetched(subscription()), "evt_1", NOON)

    assert (values["version"], values["fetched_from"], values["last_event_id"]) == (8, 7, "evt_1")
    assert {"stripe_customer_id", "stripe_subscription_id", "customer_ids", "rearm_from"}.isdisjoint(values)


def test_a_second_link_keeps_the_hours_of_one_that_was_not_finished() -> None:
    unfinished = replace(STORED, stripe_subscription_id="sub_0", rearm_from=NOON - 7 * HOUR)

    assert changes(unfinished, fetched(subscription()), "evt_1", NOON)["rearm_from"] == NOON - 7 * HOUR


def test_the_first_link_reaches_back_to_a_subscription_that_no_event_told_of() -> None:
    earlier = subscription(
        subscription_id="sub_0",
        status="canceled",
        created=1,
        started_at=NOON - 7 * HOUR + timedelta(minutes=10),
        ended_at=NOON - 4 * HOUR + timedelta(minutes=10),
    )
    both = fetched(earlier, subscription())

    assert changes(None, both, "evt_1", NOON)["rearm_from"] == NOON - 7 * HOUR
    hours = [-8, -7, -6, -4, -3, -1, 0]
    covered = [hour for hour in hours if covering(both.metered_subscriptions, NOON + hour * HOUR)]
    assert covered == [-7, -6, -4, 0]


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
        ({"started_at": NOON - timedelta(days=40)}, (NOON, NEXT)),
    ],
)
def test_the_next_period_is_known_before_it_comes_unless_the_subscription_ends_by_then(
    changes: dict[str, Any], starts: tuple[datetime, ...]
) -> None:
    (metered,) = fetched(subscription(**changes)).metered_subscriptions

    assert metered.period_starts == starts


def test_periods_that_have_gone_by_are_remembered_and_one_that_did_not_come_is_not() -> None:
    renewed = subscription(current_period_start=NEXT, current_period_end=NEXT + timedelta(days=30))
    (metered,) = fetched(renewed, record=STORED).metered_subscriptions
    assert metered.period_starts == (NOON, NEXT, NEXT + timedelta(days=30))

    moved = subscription(current_period_end=NOON + timedelta(days=9))
    (metered,) = fetched(moved, record=STORED).metered_subscriptions
    assert metered.period_starts == (NOON, NOON + timedelta(days=9))
