"""Older and other shapes of snapshot events: what endpoints with another API version, or expanded objects, look like.

Before 2025-03-31.basil a subscription had its own `current_period_*` and an invoice its own `subscription`
(https://docs.stripe.com/changelog/basil). An endpoint gets events in the shape of the version it was made with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.resources import StripeObject, copied

if TYPE_CHECKING:
    from stripe_simulator.account import Account

FIRST_CURRENT_VERSION = "2025-03-31.basil"


def in_version(event: StripeObject, api_version: str | None) -> StripeObject:
    """Return a snapshot event in the shape of an API version (None: the current one)."""
    if api_version is None:
        return event
    shaped = copied(event) if api_version >= FIRST_CURRENT_VERSION else older_shape(event)
    return shaped | {"api_version": api_version}


def older_shape(event: StripeObject) -> StripeObject:
    """Return a copy of a snapshot event as an endpoint of API version 2024-06-20 gets it."""
    older: StripeObject = copied(event)
    older["api_version"] = "2024-06-20"
    _make_older(older["data"]["object"])
    return older


def _make_older(node: Any) -> None:
    if not isinstance(node, dict):
        return
    if node.get("object") == "subscription":
        items = node["items"]["data"]
        node["current_period_start"] = max((item["current_period_start"] for item in items), default=None)
        node["current_period_end"] = min((item["current_period_end"] for item in items), default=None)
        for item in items:
            del item["current_period_start"], item["current_period_end"]
    elif node.get("object") == "invoice":
        parent = node.pop("parent") or {}
        node["subscription"] = (parent.get("subscription_details") or {}).get("subscription")
        node["paid"] = node["status"] == "paid"
    for value in node.values():
        _make_older(value)


def with_expanded(account: Account, event: StripeObject, paths: list[str]) -> StripeObject:
    """Return a copy of a snapshot event whose object holds whole objects in place of identifiers.

    `with_expanded(account, event, ["customer", "subscription"])`: some senders and older integrations have them.
    """
    expanded: StripeObject = copied(event)
    account.expand(expanded["data"]["object"], paths)
    return expanded
