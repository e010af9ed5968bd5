"""What a delivery does next: every way out, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.metered_subscriptions import covering
from billing.webhooks.choice import StoredSubscription
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
from billing.webhooks.events import StripeEvent
from tests.webhooks.values import COVERING, EVENT, GRACE, HOUR, LINKING, NOON, POINTER, STORED, fetched, subscription


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
    values = changes(STORED, fetched(subscription()), "evt_1", NOON, GRACE)

    assert (values["version"], values["fetched_from"], values["last_event_id"]) == (8, 7, "evt_1")
    assert {"stripe_customer_id", "stripe_subscription_id", "customer_ids", "rearm_from"}.isdisjoint(values)


def test_a_second_link_keeps_the_hours_of_one_that_was_not_finished() -> None:
    unfinished = replace(STORED, stripe_subscription_id="sub_0", rearm_from=NOON - 7 * HOUR)

    assert changes(unfinished, fetched(subscription()), "evt_1", NOON, GRACE)["rearm_from"] == NOON - 7 * HOUR


def test_the_first_link_reaches_back_to_a_subscription_that_no_event_told_of() -> None:
    earlier = subscription(
        subscription_id="sub_0",
        status="canceled",
        created=1,
        started_at=NOON - 7 * HOUR + timedelta(minutes=10),
        ended_at=NOON - 4 * HOUR + timedelta(minutes=10),
    )
    both = fetched(earlier, subscription())

    assert changes(None, both, "evt_1", NOON, GRACE)["rearm_from"] == NOON - 7 * HOUR
    hours = [-8, -7, -6, -4, -3, -1, 0]
    covered = [hour for hour in hours if covering(both.metered_subscriptions, NOON + hour * HOUR)]
    assert covered == [-7, -6, -4, 0]
