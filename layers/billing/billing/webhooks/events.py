"""A genuine event of Stripe's, and which subscription it points at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from billing.errors import NotAStripeDeliveryError
from billing.organizations import is_organization_id
from billing.stripe_gateway.objects import id_of

# DynamoDB's limit for a hash key; Stripe's ids are far shorter.
LONGEST_ID = 255

_SUBSCRIPTION_CHANGES = tuple(
    f"customer.subscription.{change}" for change in ("created", "updated", "deleted", "paused", "resumed")
)
_INVOICE_OUTCOMES = ("invoice.paid", "invoice.payment_failed")
INVOICE_CREATED = "invoice.created"
# What an invoice's lines bill, and whether they still change; the outcomes of a payment change neither.
INVOICE_VOIDED = "invoice.voided"
INVOICE_CHANGES = (INVOICE_CREATED, "invoice.finalized", INVOICE_VOIDED)
METER_ERROR_REPORT = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"
# What Stripe's two destinations are to deliver: exactly what is handled here.
SNAPSHOT_EVENT_TYPES = ("checkout.session.completed", *_SUBSCRIPTION_CHANGES, *INVOICE_CHANGES, *_INVOICE_OUTCOMES)
THIN_EVENT_TYPES = (*(f"v1.{change}" for change in _SUBSCRIPTION_CHANGES), METER_ERROR_REPORT, NO_METER_FOUND)


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """An event, snapshot or thin.

    `created` is in Unix seconds, None where the event does not say; `subject` is the snapshot's object, or the thin
    event's related object. `livemode` is None where the event does not say; `account` names another Stripe account, of
    which a Connect platform's endpoint gets the events too.
    """

    event_id: str
    event_type: str
    created: int | None
    is_thin: bool
    subject: Mapping[str, Any]
    livemode: bool | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which subscription an event is about, as far as the event knows.

    `organization_id` is the seller's word (metadata); only the buyer's (`client_reference_id`, which a payment link
    takes from its address) where `is_buyers_word`.
    """

    subscription_id: str
    customer_id: str | None
    organization_id: str | None
    is_buyers_word: bool = False


def read_event(values: Any) -> StripeEvent:
    """Return the event that Stripe's JSON holds, snapshot or thin; that it is genuine is for the caller to know.

    Raises:
        NotAStripeDeliveryError: it is no event.
    """
    if not isinstance(values, Mapping) or values.get("object") not in ("event", "v2.core.event"):
        raise NotAStripeDeliveryError("The body is not a Stripe event")
    event_id, event_type = values.get("id"), values.get("type")
    if not _is_name(event_id) or not _is_name(event_type):
        raise NotAStripeDeliveryError("The event has no id or no type")
    is_thin = values["object"] == "v2.core.event"
    data = values.get("data")
    subject = values.get("related_object") if is_thin else data.get("object") if isinstance(data, Mapping) else None
    return StripeEvent(
        event_id=event_id,
        event_type=event_type,
        created=unix_seconds(values.get("created")),
        is_thin=is_thin,
        subject=subject if isinstance(subject, Mapping) else {},
        livemode=bool(values["livemode"]) if isinstance(values.get("livemode"), bool) else None,
        # https://docs.stripe.com/connect/webhooks; in thin events it is called context.
        account=_text(values.get("context") if is_thin else values.get("account")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable()


def unix_seconds(value: Any) -> int | None:
    """Read a moment: a number in snapshots, RFC 3339 in thin events; None for anything else."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        # Beyond the year 9999 it is no time, and no number that DynamoDB can hold either.
        return int(value) if 0 <= value < 253402300800 else None
    except (TypeError, ValueError, OverflowError):
        return None


def subscription_pointer(event: StripeEvent) -> Pointer | None:
    """Return which subscription the event is about; None where it is about none.

    The parts stand in different places in different API versions, and the endpoint decides the version: all are tried.
    """
    subject, event_type = event.subject, event.event_type
    if event.is_thin:
        if event_type.removeprefix("v1.") not in _SUBSCRIPTION_CHANGES:
            return None
        return _pointer(subject.get("id"))
    if event_type in _SUBSCRIPTION_CHANGES:
        return _pointer(subject.get("id"), subject.get("customer"), _organization(subject))
    if event_type == "checkout.session.completed":
        organization_id, reference = _organization(subject), subject.get("client_reference_id")
        is_buyers_word = organization_id is None and is_organization_id(reference)
        return _pointer(
            subject.get("subscription"),
            subject.get("customer"),
            reference if is_buyers_word else organization_id,
            is_buyers_word=is_buyers_word,
        )
    if event_type in (*INVOICE_CHANGES, *_INVOICE_OUTCOMES):
        parent = subject.get("parent")
        details = parent.get("subscription_details") if isinstance(parent, Mapping) else None
        # Before the API version 2025-03-31: invoice.subscription and invoice.subscription_details.
        details = details if isinstance(details, Mapping) else subject.get("subscription_details")
        details = details if isinstance(details, Mapping) else {}
        return _pointer(
            details.get("subscription") or subject.get("subscription"),
            subject.get("customer"),
            _organization(details),
        )
    return None


def _pointer(
    subscription: Any, customer: Any = None, organization_id: str | None = None, *, is_buyers_word: bool = False
) -> Pointer | None:
    subscription_id, customer_id = id_of(subscription), id_of(customer)
    if not _is_name(subscription_id):
        return None
    return Pointer(subscription_id, customer_id if _is_name(customer_id) else None, organization_id, is_buyers_word)


def _organization(holder: Mapping[str, Any]) -> str | None:
    metadata = holder.get("metadata")
    organization_id = metadata.get("organization_id") if isinstance(metadata, Mapping) else None
    return organization_id if is_organization_id(organization_id) else None
