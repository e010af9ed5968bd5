"""What `operate doctor` thinks of values alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.metered_subscriptions import MeteredSubscription
from billing.stripe_gateway.invoices import GracePeriod
from operations.doctor.deliveries import judge_arrival, judge_destination
from operations.doctor.findings import Verdict, named
from operations.doctor.hours import judge_due
from operations.doctor.organizations import meters_billed_twice
from operations.doctor.parameters import contradictions_of
from operations.doctor.queues import judge_usage_queue
from operations.doctor.sales import judge_catalogue, judge_currencies, judge_grace_periods, judge_portal, judge_price
from operations.doctor.schedule import judge_runs, judge_schedule, judge_subscribers
from operations.last_runs import LastRuns
from operations.provisioning.catalogue import read_catalogue
from operations.provisioning.steps import Action, Step

NOW = datetime(2026, 11, 23, 10, 3, tzinfo=UTC)
METERED = {"interval": "month", "usage_type": "metered", "meter": "mtr_1"}
PRICE = {"active": True, "type": "recurring", "recurring": METERED, "transform_quantity": None, "currency": "eur"}
OURS = {"mtr_1": "active_sensors"}


def test_a_price_that_can_be_sold_is_good() -> None:
    found = judge_price("price_1", PRICE, OURS)
    assert (found.verdict, found.detail) == (Verdict.GOOD, "active, active_sensors, eur, each month")
    fixed = PRICE | {"recurring": {"interval": "year", "usage_type": "licensed", "meter": None}}
    assert judge_price("price_1", fixed, OURS).detail == "active, a fixed amount, eur, each year"


@pytest.mark.parametrize(
    ("price", "fault"),
    [
        (None, "Stripe has no such price"),
        (PRICE | {"active": False}, "archived"),
        (PRICE | {"type": "one_time", "recurring": None}, "nobody can subscribe"),
        (PRICE | {"recurring": METERED | {"meter": "mtr_2"}}, "none of this stack"),
        (PRICE | {"transform_quantity": {"divide_by": 1000, "round": "up"}}, "by the package"),
    ],
)
def test_a_price_that_cannot_be_sold_is_bad(price: Any, fault: str) -> None:
    found = judge_price("price_1", price, OURS)
    assert found.verdict is Verdict.BAD
    assert fault in found.detail
    assert "AllowedPriceIds" in found.advice


def test_prices_of_two_currencies_are_bad() -> None:
    assert list(judge_currencies([PRICE, PRICE])) == []
    (found,) = judge_currencies([PRICE, PRICE | {"currency": "usd"}])
    assert "eur, usd" in found.detail


def test_a_price_of_the_catalogue_is_made_active_and_allowed() -> None:
    catalogue = read_catalogue()
    first, second = catalogue.lookup_keys
    prices = {first: {"id": "price_1", "active": True}}
    here, missing = judge_catalogue(catalogue, prices, ["price_2"])
    assert "price_1 is not in AllowedPriceIds" in here.detail
    assert (missing.subject, missing.detail) == (f"Price {second}", "Stripe has it not")
    assert [each.verdict for each in judge_catalogue(catalogue, prices, [])] == [Verdict.GOOD, Verdict.BAD]


def test_a_portal_without_a_configuration_of_ours_goes_by_the_default() -> None:
    features = {"subscription_cancel": {"enabled": False, "mode": "immediately"}}
    default = {"id": "bpc_1", "is_default": True, "metadata": {}, "features": features}
    other = default | {"id": "bpc_2", "is_default": False}
    assert judge_portal([other]).verdict is Verdict.BAD
    found = judge_portal([other, default])
    assert found.verdict is Verdict.GOOD
    assert "default (bpc_1): subscriptions cannot be cancelled" in found.detail


def test_the_grace_period_is_the_shortest_that_was_seen() -> None:
    hour = GracePeriod("in_1", timedelta(hours=1))
    assert judge_grace_periods([]).verdict is Verdict.UNKNOWN
    assert judge_grace_periods([hour, GracePeriod("in_2", timedelta(hours=3))]).verdict is Verdict.GOOD
    assert judge_grace_periods([hour, GracePeriod("in_2", timedelta(minutes=58))]).verdict is Verdict.BAD
    assert "in_3" in judge_grace_periods([hour, GracePeriod("in_3", None)]).detail


@pytest.mark.parametrize(
    ("parameters", "livemode", "subjects"),
    [
        ({}, None, []),
        ({"MeterEventTransport": "stream"}, True, []),
        ({"MeterEventTransport": "stream"}, False, ["MeterEventTransport"]),
        ({"MeterEventTransport": "stream"}, None, []),
        ({"MeterEventsPerSecond": "26"}, False, ["MeterEventsPerSecond"]),
        ({"MeterEventsPerSecond": "25"}, False, []),
        ({"MeterEventsPerSecond": "2000"}, True, []),
        ({"MeterEventsPerSecond": "2000", "MeterEventTransport": "single"}, True, ["MeterEventsPerSecond"]),
        ({"AllowedPriceIds": "price_1"}, None, ["AllowedRedirectHosts"]),
        ({"AllowedRedirectHosts": "a.example"}, None, ["AllowedPriceIds"]),
        ({"JwtAudience": "x"}, None, ["JwtAudience"]),
        ({"JwtAudience": "x", "JwtIssuer": "https://x"}, None, []),
        ({"RelinkByReference": "true"}, None, []),
        (
            {"RelinkByReference": "true", "AllowedPriceIds": "price_1", "AllowedRedirectHosts": "a.example"},
            None,
            ["RelinkByReference"],
        ),
        ({"Environment": "prod", "LogLevel": "ERROR"}, None, ["LogLevel"]),
        ({"Environment": "dev", "LogLevel": "ERROR"}, None, []),
    ],
)
def test_parameters_that_contradict_each_other(
    parameters: dict[str, str], livemode: bool | None, subjects: list[str]
) -> None:
    found = list(contradictions_of(parameters, livemode))
    assert [each.subject for each in found] == subjects
    assert all(each.verdict is Verdict.BAD and each.advice for each in found)


def test_a_schedule_is_as_the_parameter_says_and_on_outside_of_dev() -> None:
    verdicts = {
        (state, wanted, environment): judge_schedule("Hourly run", state, wanted, environment).verdict.value
        for state in (None, "ENABLED", "DISABLED")
        for wanted in ("ENABLED", "DISABLED")
        for environment in ("dev", "prod")
    }
    good = {key for key, verdict in verdicts.items() if verdict == "good"}
    assert good == {("ENABLED", "ENABLED", "dev"), ("ENABLED", "ENABLED", "prod"), ("DISABLED", "DISABLED", "dev")}


@pytest.mark.parametrize(
    ("hours_ago", "is_on", "verdict"),
    [(1, True, "good"), (2, True, "good"), (3, True, "bad"), (None, True, "bad"), (None, False, "good")],
)
def test_the_last_run_is_at_most_two_hours_old(hours_ago: int | None, is_on: bool, verdict: str) -> None:
    last = None if hours_ago is None else NOW.replace(minute=0) - timedelta(hours=hours_ago)
    assert judge_runs(LastRuns(1, 2, last), NOW, is_on=is_on).verdict.value == verdict


def test_a_due_hour_is_overdue_after_two_hours() -> None:
    assert judge_due(None, NOW).verdict is Verdict.GOOD
    assert judge_due(NOW + timedelta(minutes=1), NOW).detail == "no hour that has ended is due"
    assert judge_due(NOW - timedelta(hours=2), NOW).verdict is Verdict.GOOD
    assert judge_due(NOW - timedelta(hours=2, seconds=1), NOW).verdict is Verdict.BAD


def test_usage_that_waits_is_judged_by_its_age() -> None:
    assert judge_usage_queue(0, None).verdict is Verdict.GOOD
    assert judge_usage_queue(3, None).verdict is Verdict.UNKNOWN
    assert judge_usage_queue(3, timedelta(minutes=15)).verdict is Verdict.GOOD
    assert judge_usage_queue(3, timedelta(minutes=16)).verdict is Verdict.BAD


def test_a_receiver_that_has_not_confirmed_gets_no_alarm() -> None:
    assert judge_subscribers([{"SubscriptionArn": "PendingConfirmation"}], "dev").verdict is Verdict.BAD
    assert judge_subscribers([], "dev").verdict is Verdict.GOOD
    assert judge_subscribers([], "prod").verdict is Verdict.BAD


def test_events_from_before_there_was_a_destination_are_not_missed() -> None:
    events = [{"id": f"evt_{number}", "type": "invoice.paid", "pending_webhooks": 0} for number in range(3)]
    assert judge_arrival("Events", events, {"evt_0"}).detail == "the newest arrived, evt_0; 1 of the last 3"
    assert judge_arrival("Events", events, {"evt_1", "evt_2"}).verdict is Verdict.BAD
    waiting = [*events, {"id": "evt_3", "type": "invoice.paid", "pending_webhooks": 1}]
    assert "evt_3" in judge_arrival("Events", waiting, {"evt_0"}).detail


def test_a_destination_made_by_hand_is_unknown_and_one_that_delivers_elsewhere_is_none_of_ours() -> None:
    by_hand = Step(Action.NOTE, "thin destination ed_1", "made by hand: whether its signing secret is stored")
    (found,) = judge_destination(by_hand)
    assert (found.subject, found.verdict) == ("Thin destination", Verdict.UNKNOWN)
    assert list(judge_destination(Step(Action.NOTE, "thin destination ed_1", "delivers to https://x.example"))) == []


def test_a_subscription_that_has_ended_bills_nothing_twice() -> None:
    def subscription(name: str, ended_at: datetime | None, *meters: str) -> MeteredSubscription:
        return MeteredSubscription(name, "cus_1", NOW - timedelta(days=9), ended_at, meters)

    living, other = subscription("sub_1", None, "a", "b"), subscription("sub_2", None, "b", "c")
    assert meters_billed_twice([living, other], NOW) == {"b"}
    assert meters_billed_twice([living, subscription("sub_2", NOW, "b")], NOW) == set()
    assert meters_billed_twice([living, subscription("sub_2", None)], NOW) == set()


def test_many_names_are_not_all_told() -> None:
    assert named(f"org-{number}" for number in range(8)) == "org-0, org-1, org-2, org-3, org-4 and 3 more"
