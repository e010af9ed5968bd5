"""Who may use the service, worked out from the simulator's own state and from nothing of the code under test.

Written the other way round than the rule: from what Stripe says is owed, in its own words and seconds.
"""

from __future__ import annotations

from typing import Any

from billing import clock
from billing.access.reading import access_of
from billing.clock import from_unix
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack

DAY = 86400


def expected_access(stack: Stack, subscription: dict[str, Any], grace_days: int = 7) -> tuple[str, str, int | None]:
    """Return state, reason and end that the followed subscription gives now."""
    now, status = stack.simulator.account.now(), subscription["status"]
    ends = [subscription["cancel_at"]] if subscription["cancel_at"] else []
    if status in ("canceled", "incomplete_expired", "unpaid", "paused", "incomplete"):
        return "denied", status, None
    if status == "active":
        return "allowed", "canceling" if ends else "active", min(ends, default=None)
    if status == "trialing":
        trial_end = subscription["trial_end"]
        return "allowed", "canceling" if ends and ends[0] <= trial_end else "trialing", min([trial_end, *ends])
    assert status == "past_due"
    owed_since = _owed_since(stack, subscription["id"])
    if owed_since is None:
        return "grace", "past_due", min(ends, default=None)
    grace_end = owed_since + grace_days * DAY
    return ("denied", "past_due", None) if grace_end <= now else ("grace", "past_due", min([grace_end, *ends]))


def _owed_since(stack: Stack, subscription_id: str) -> int | None:
    """Go through the invoices in the order in which they were made: a payment ends what was owed until then."""
    since: int | None = None
    for invoice in stack.simulator.account.invoices.objects.values():
        if invoice["parent"]["subscription_details"]["subscription"] != subscription_id:
            continue
        if invoice["status"] == "paid":
            since = None
        elif invoice["status"] in ("open", "uncollectible") and since is None:
            since = invoice["status_transitions"]["finalized_at"]
    return since


def assert_access(stack: Stack, subscription: dict[str, Any], context: object = "") -> None:
    """Assert that an organisation's record answers now as Stripe's state does, and has it stored."""
    records = [each for each in SubscriptionRecord.scan(consistent_read=True)]
    record = next((each for each in records if each.stripe_subscription_id == subscription["id"]), None)
    assert record is not None, (context, subscription["id"], [each.attribute_values for each in records])
    access = access_of(record, clock.utc_now())
    state, reason, end = expected_access(stack, subscription)
    assert (access.state, access.reason) == (state, reason), context
    assert access.until == (None if end is None else from_unix(end)), context
    if record.access_until is None or record.access_until > clock.utc_now():
        assert (record.access, record.access_reason, record.access_until) == (state, reason, access.until), context
