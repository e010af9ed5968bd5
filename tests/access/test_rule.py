"""Every case of the rule, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.access.rule import FACTS, Access, Facts, access_at, facts_of
from billing.tables.subscriptions import SubscriptionRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
GRACE = 7 * DAY
OVERDUE = Facts("past_due", past_due_since=NOON)


def at(moment: datetime, grace: timedelta = GRACE, **facts: Any) -> Access:
    return access_at(Facts(**facts), moment, grace)


@pytest.mark.parametrize("status", ["unpaid", "paused", "incomplete", "incomplete_expired", "canceled"])
def test_a_status_in_which_stripe_bills_nobody_is_denied(status: str) -> None:
    assert at(NOON, status=status) == Access("denied", status)  # type: ignore[arg-type]


def test_an_organisation_without_a_record_or_a_subscription_is_denied() -> None:
    assert access_at(None, NOON, GRACE) == at(NOON) == Access("denied", "no_subscription")


def test_active_is_allowed_without_end() -> None:
    assert at(NOON, status="active", current_period_end=NOON - DAY) == Access("allowed", "active")


@pytest.mark.parametrize(
    "ends", [{"cancel_at": NOON}, {"cancel_at_period_end": True, "current_period_end": NOON}], ids=str
)
@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "something_new"])
def test_what_is_to_end_is_allowed_until_then_and_denied_from_then_on(status: str, ends: dict[str, Any]) -> None:
    before = at(NOON - SECOND, status=status, **ends)

    assert (bool(before), before.until) == (True, NOON)
    assert at(NOON, status=status, **ends) == Access("denied", "canceled", since=NOON)


def test_a_date_of_cancellation_comes_before_the_end_of_a_period() -> None:
    facts: dict[str, Any] = {"cancel_at": NOON + DAY, "cancel_at_period_end": True, "current_period_end": NOON}
    assert at(NOON, status="active", **facts) == Access("allowed", "canceling", NOON + DAY)


def test_a_trial_is_allowed_until_its_end_and_then_in_grace_until_news_comes() -> None:
    trial: dict[str, Any] = {"status": "trialing", "trial_end": NOON}

    assert at(NOON - SECOND, **trial) == Access("allowed", "trialing", NOON)
    assert at(NOON, **trial) == Access("grace", "trial_ended", NOON + GRACE, NOON)
    assert at(NOON + GRACE - SECOND, **trial) == Access("grace", "trial_ended", NOON + GRACE, NOON)
    assert at(NOON + GRACE, **trial) == Access("denied", "trial_ended", since=NOON + GRACE)
    assert at(NOON - SECOND, **trial, cancel_at=NOON) == Access("allowed", "canceling", NOON)
    assert at(NOON - SECOND, **trial, cancel_at=NOON + DAY) == Access("allowed", "trialing", NOON)


def test_past_due_is_in_grace_for_so_long_and_then_denied() -> None:
    assert access_at(OVERDUE, NOON, GRACE) == Access("grace", "past_due", NOON + GRACE, NOON)
    assert access_at(OVERDUE, NOON + GRACE - SECOND, GRACE) == Access("grace", "past_due", NOON + GRACE, NOON)
    assert access_at(OVERDUE, NOON + GRACE, GRACE) == Access("denied", "past_due", since=NOON + GRACE)


def test_without_grace_past_due_is_denied_at_once() -> None:
    assert access_at(OVERDUE, NOON, timedelta(0)) == Access("denied", "past_due", since=NOON)


@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_nobody_is_locked_out_for_what_is_not_known(grace: timedelta) -> None:
    assert at(NOON, grace, status="past_due") == Access("grace", "past_due")
    assert at(NOON, grace, status="something_new") == Access("grace", "unknown_status")
    assert access_at(Facts(is_damaged=True), NOON, grace) == Access("grace", "record_damaged")


def test_one_that_has_ended_is_denied_since_then_whatever_its_status_says() -> None:
    assert at(NOON, status="active", ended_at=NOON) == Access("denied", "canceled", since=NOON)
    assert at(NOON, status="canceled", ended_at=NOON) == Access("denied", "canceled", since=NOON)


def test_an_answer_is_a_condition() -> None:
    assert Access("allowed", "active")
    assert Access("grace", "past_due")
    assert not Access("denied", "unpaid")


def test_the_facts_are_attributes_of_the_record_and_only_damage_of_them_matters() -> None:
    assert set(FACTS) <= set(SubscriptionRecord.get_attributes())
    assert facts_of({"status": "active", "version": 3}, {"version"}) == Facts("active")
    assert facts_of({"status": "active"}, {"cancel_at"}).is_damaged
    assert not at(NOON, status="canceled", is_damaged=True), "what can be read says enough"
