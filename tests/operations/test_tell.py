"""`operate tell`: what is marked, and what is left alone."""

from __future__ import annotations

from datetime import timedelta

from billing import clock
from billing.clock import format_time
from programs.local.stack import Stack
from tests.operations.conftest import Operate, save_refused


def test_an_organisation_s_items_are_told_again(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    save_refused("acme", format_time(clock.hour_of(clock.utc_now()) - timedelta(hours=3)), "no_customer: none")

    dry = operate("tell", "acme", "--dry-run", "--json").json
    done = operate("tell", "acme", "--json").json

    assert [(item["kind"], item["outcome"]) for item in dry["items"]] == [("subscription", None), ("hour", None)]
    assert [item["outcome"] for item in done["items"]] == ["told", "told"]


def test_what_was_not_written_since_is_left_alone(stack: Stack, operate: Operate) -> None:
    stack.subscribe("early")
    stack.deliver_all()
    stack.advance(hours=2)
    since = format_time(clock.utc_now())
    stack.subscribe("late")
    stack.deliver_all()

    def told(*options: str) -> list[str]:
        return sorted(item["organization_id"] for item in operate("tell", *options, "--json").json["items"])

    assert told("--since", since) == ["late"]
    assert told("--all") == ["early", "late"]


def test_it_has_to_be_said_who_is_meant(stack: Stack, operate: Operate) -> None:
    assert operate("tell").code == 2
    assert operate("tell", "acme", "--all").code == 2
    ran = operate("tell", "nobody")
    assert (ran.code, "No table knows the organisation nobody" in ran.err) == (1, True)
