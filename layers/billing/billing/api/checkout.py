"""Stripe's pages for an organisation's browser: a checkout to subscribe, a portal to manage the subscription."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from billing.api.checkout_options import USUAL, CheckoutFields, options_of
from billing.api.customers import customer_of
from billing.api.requests import check_address, check_prices
from billing.errors import AlreadySubscribedError, NotSubscribedError, StripeNotFoundError
from billing.settings import allowed_price_ids, allowed_redirect_hosts
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.checkout import create_checkout_session, expire_older_sessions
from billing.stripe_gateway.customers import has_customer
from billing.stripe_gateway.objects import CheckoutSession
from billing.stripe_gateway.portal import create_portal_session
from billing.stripe_gateway.subscriptions import list_subscriptions
from billing.tables.subscriptions import SubscriptionRecord


def open_checkout(
    organization_id: str,
    price_ids: Sequence[str],
    success_url: str,
    cancel_url: str,
    request_key: str | None,
    gateway: StripeGateway,
    fields: CheckoutFields = USUAL,
) -> CheckoutSession:
    """Open a checkout session in which the organisation's customer subscribes.

    The same `request_key` again within 24 hours opens no second session; another one ends those that are still open.

    Raises:
        InvalidRequestError: a price, a host or an option that is not allowed.
        AlreadySubscribedError: the organisation has a subscription to a meter that has begun and not ended.
        StripeRefusedError: Stripe does not sell these prices together, or the key came before with another request.
        UnavailableError: the same request can succeed later.
    """
    _check(price_ids, success_url, cancel_url, fields)
    options = options_of(fields, was_subscribed=_refuse_second_subscription(organization_id, gateway))
    request_key = request_key or uuid.uuid4().hex

    def open_for(customer_id: str) -> CheckoutSession:
        key = _idempotency_key("checkout", organization_id, customer_id, request_key)
        session = create_checkout_session(
            gateway, organization_id, customer_id, price_ids, success_url, cancel_url, options, key
        )
        expire_older_sessions(gateway, organization_id, customer_id, session.checkout_session_id)
        return session

    customer_id = customer_of(organization_id, gateway)
    try:
        return open_for(customer_id)
    except StripeNotFoundError:
        # Somebody deleted a price at Stripe, or the customer, which then gets a successor.
        if has_customer(gateway, customer_id):
            raise
        return open_for(customer_of(organization_id, gateway, deleted_id=customer_id))


def _check(price_ids: Sequence[str], success_url: str, cancel_url: str, fields: CheckoutFields) -> None:
    """Refuse what breaks a rule before Stripe is asked anything."""
    check_prices(price_ids, allowed_price_ids())
    for field, address in (("success_url", success_url), ("cancel_url", cancel_url)):
        check_address(field, address, allowed_redirect_hosts())
    options_of(fields, was_subscribed=False)


def _refuse_second_subscription(organization_id: str, gateway: StripeGateway) -> bool:
    """Ask Stripe itself: the webhook of a new subscription may be on its way. Say whether there was one before."""
    record = SubscriptionRecord.of(organization_id, consistent=True)
    was_subscribed = False
    if record is None:
        return was_subscribed
    for customer_id in sorted(record.customer_ids or ()):
        begun = [each for each in list_subscriptions(gateway, customer_id) if each.meters and each.has_begun]
        if any(each.is_living for each in begun):
            raise AlreadySubscribedError("The organisation has a subscription; the portal is where to change it")
        was_subscribed = was_subscribed or bool(begun)
    return was_subscribed


def open_portal(organization_id: str, return_url: str, request_key: str | None, gateway: StripeGateway) -> str:
    """Open a session of Stripe's customer portal and return its address.

    Raises:
        InvalidRequestError: a host that is not allowed.
        NotSubscribedError: the organisation has no customer, or somebody deleted it at Stripe.
        StripeRefusedError: the portal is not set up in this Stripe account.
        UnavailableError: the same request can succeed later.
    """
    check_address("return_url", return_url, allowed_redirect_hosts())
    record = SubscriptionRecord.of(organization_id, consistent=True)
    if record is None or not record.stripe_customer_id:
        raise NotSubscribedError("The organisation has never begun a checkout")
    customer_id = record.stripe_customer_id
    key = _idempotency_key("portal", organization_id, customer_id, request_key or uuid.uuid4().hex)
    try:
        return create_portal_session(gateway, customer_id, return_url, key)
    except StripeNotFoundError:
        if has_customer(gateway, customer_id):
            raise
        raise NotSubscribedError("The organisation's customer was deleted at Stripe") from None


def _idempotency_key(operation: str, organization_id: str, customer_id: str, request_key: str) -> str:
    """Return Stripe's idempotency key; organisations that use the same request key get different ones."""
    request = (operation, organization_id, customer_id, request_key)
    return f"{operation}-{hashlib.sha256(repr(request).encode()).hexdigest()}"
