"""Stripe, as this stack uses it: the only module that imports stripe.

Every method raises the errors of `billing.errors` and nothing of the SDK's. Answers become small values of our own or
plain dictionaries, so that no change of the SDK's classes goes further than this file.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import stripe

from billing import clock
from billing.clock import from_unix
from billing.errors import (
    KeyReusedError,
    NotAStripeDeliveryError,
    StripeNotFoundError,
    StripeRefusedError,
    StripeUnavailableError,
)
from billing.settings import secrets_reader, stripe_api_base, stripe_meter_events_base
from billing.stripe_objects import CheckoutSession, StripeMeter, StripeSubscription, read_meter, read_subscription

# The version that the code and its simulator were written for; an upgrade of the SDK does not change it by itself.
API_VERSION = "2026-10-28.endive"
SIGNATURE_TOLERANCE_SECONDS = 300
# Stripe answers in a fraction of a second; a webhook has to be answered within ten.
TIMEOUT_SECONDS = 8.0
READ_ATTEMPTS = 3
# A session of the meter event stream lasts 15 minutes; it is renewed before it can expire on the way.
SESSION_MARGIN = timedelta(minutes=1)
SESSION_EXPIRED = "billing_meter_event_session_expired"

Answer = TypeVar("Answer")


def verify_signature(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Say whether any of the secrets signed these bytes within the past five minutes.

    Raises:
        NotAStripeDeliveryError: no secret could have: the header is missing, or the body is not UTF-8.
    Source: https://docs.stripe.com/webhooks#verify-manually
    """
    if not header:
        raise NotAStripeDeliveryError("The Stripe-Signature header is missing")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotAStripeDeliveryError("The body is not UTF-8") from None
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(text, header, secret, SIGNATURE_TOLERANCE_SECONDS)
        except (stripe.SignatureVerificationError, TypeError, ValueError):
            # TypeError: a signature that is not ASCII cannot be compared.
            continue
        return True
    return False


@dataclass(frozen=True, slots=True)
class MeterEventSession:
    """Hold a token for the meter event stream and when it ends; never log it."""

    token: str
    expires_at: datetime


class SessionExpiredError(StripeUnavailableError):
    """Say that Stripe no longer takes a session's token: a new session is all it needs."""


class StripeGateway:
    """Talk to one Stripe account. One instance serves all threads of a process."""

    def __init__(
        self,
        api_key: str,
        api_base: str = "",
        meter_events_base: str = "",
        *,
        backoff_seconds: float = 0.2,
    ) -> None:
        addresses: dict[str, str] = {}
        if api_base:
            addresses["api"] = api_base
        if meter_events_base:
            addresses["meter_events"] = meter_events_base
        self._backoff_seconds = backoff_seconds
        self._session: MeterEventSession | None = None
        self._session_lock = threading.Lock()
        self._metered: dict[str, bool] = {}
        self.client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses=addresses,  # type: ignore[arg-type]  # the SDK's TypedDict has only optional keys
            # The SDK's own retries repeat the idempotency key, to which Stripe repeats a saved 500.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )

    def subscriptions_of_customer(self, customer_id: str) -> list[StripeSubscription]:
        """Return every subscription of a customer, ended ones too; none where Stripe does not know the customer."""
        try:
            return [
                read_subscription(item)
                for item in self.pages("/v1/subscriptions", {"customer": customer_id, "status": "all", "limit": 100})
            ]
        except StripeNotFoundError:
            return []

    def subscription(self, subscription_id: str) -> StripeSubscription | None:
        """Return a subscription, or None where Stripe does not know it."""
        try:
            return read_subscription(
                self.read(lambda: self.client.v1.subscriptions.retrieve(subscription_id)).to_dict()
            )
        except StripeNotFoundError:
            return None

    def meters(self) -> list[StripeMeter]:
        """Return the account's meters, inactive ones too."""
        return [read_meter(item) for item in self.pages("/v1/billing/meters", {"limit": 100})]

    def create_meter_event(
        self, event_name: str, identifier: str, timestamp: int, customer_id: str, value: int
    ) -> None:
        """Send one meter event over v1, once. An identifier that Stripe has already taken is a success.

        Source: https://docs.stripe.com/api/billing/meter-event/create
        """
        try:
            self.once(
                lambda: self.client.v1.billing.meter_events.create(
                    {
                        "event_name": event_name,
                        "identifier": identifier,
                        "timestamp": timestamp,
                        "payload": {"stripe_customer_id": customer_id, "value": str(value)},
                    }
                )
            )
        except StripeRefusedError as error:
            if not _is_duplicate(error, identifier):
                raise

    def stream_meter_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Send at most 100 events over the v2 stream, once, in a session that is opened and renewed as needed.

        Source: https://docs.stripe.com/api/v2/billing-meter-stream/create
        """
        session = self._open_session(expired=None)
        try:
            self._stream(session, events)
        except SessionExpiredError:
            self._stream(self._open_session(expired=session), events)

    def _stream(self, session: MeterEventSession, events: Sequence[Mapping[str, Any]]) -> None:
        params: Any = {"events": list(events)}
        self.once(lambda: self.client.v2.billing.meter_event_stream.create(params, {"api_key": session.token}))

    def _open_session(self, expired: MeterEventSession | None) -> MeterEventSession:
        with self._session_lock:
            session = self._session
            if session is None or session is expired or session.expires_at - SESSION_MARGIN <= clock.utc_now():
                try:
                    answer = self.once(lambda: self.client.v2.billing.meter_event_session.create())
                except StripeRefusedError as error:
                    # It says nothing about the events, which must not be refused for it.
                    raise StripeUnavailableError(f"Stripe opens no meter event session: {error}") from error
                session = MeterEventSession(answer.authentication_token, _moment(answer.expires_at))
                self._session = session
            return session

    def hourly_summaries(
        self, meter_id: str, customer_id: str, start: datetime, end: datetime
    ) -> dict[datetime, float]:
        """Return what Stripe counted for a customer by UTC hour; hours without usage may be left out.

        Raises:
            StripeNotFoundError: Stripe does not know the customer or the meter.
        Source: https://docs.stripe.com/api/billing/meter-event-summary/list
        """
        pages = self.pages(
            f"/v1/billing/meters/{meter_id}/event_summaries",
            {
                "customer": customer_id,
                "start_time": int(start.timestamp()),
                "end_time": int(end.timestamp()),
                "value_grouping_window": "hour",
                "limit": 100,
            },
        )
        return {from_unix(item["start_time"]): item["aggregated_value"] for item in pages}

    def event(self, event_id: str) -> dict[str, Any]:
        """Return a thin event with its data, which Stripe keeps for 30 days.

        Source: https://docs.stripe.com/api/v2/core/events/retrieve
        """
        found: dict[str, Any] = self.read(lambda: self.client.v2.core.events.retrieve(event_id)).to_dict()
        return found

    def find_customer(self, organization_id: str, created_since: datetime | None = None) -> str | None:
        """Return a customer whose metadata names the organisation, or None.

        Stripe's search does not see what was made in the past minute; with `created_since`, all customers made since
        then are looked at as well. Source: https://docs.stripe.com/search#data-freshness
        """
        if created_since is not None:
            params = {"created": {"gte": int(created_since.timestamp())}, "limit": 100}
            for item in self.pages("/v1/customers", params):
                if (item.get("metadata") or {}).get("organization_id") == organization_id:
                    return str(item["id"])
        quoted = organization_id.replace("\\", "\\\\").replace("'", "\\'")
        found = self.read(
            lambda: self.client.v1.customers.search({"query": f"metadata['organization_id']:'{quoted}'", "limit": 1})
        )
        return str(found.data[0].id) if found.data else None

    def create_customer(self, organization_id: str, idempotency_key: str) -> str:
        """Create a customer whose metadata names the organisation; the same key again returns the same customer."""
        customer = self.read(
            lambda: self.client.v1.customers.create(
                {"metadata": {"organization_id": organization_id}}, {"idempotency_key": idempotency_key}
            )
        )
        return customer.id

    def has_customer(self, customer_id: str) -> bool:
        """Say whether Stripe has the customer and it is not deleted."""
        try:
            customer = self.read(lambda: self.client.v1.customers.retrieve(customer_id)).to_dict()
        except StripeNotFoundError:
            return False
        return not customer.get("deleted")

    def is_metered(self, price_id: str) -> bool:
        """Say whether a price bills by use; asked once a process, for it never changes.

        Raises:
            StripeNotFoundError: there is no such price.
        """
        if price_id not in self._metered:
            recurring = self.read(lambda: self.client.v1.prices.retrieve(price_id)).to_dict().get("recurring") or {}
            self._metered[price_id] = recurring.get("usage_type") == "metered"
        return self._metered[price_id]

    def open_checkout(
        self,
        organization_id: str,
        customer_id: str,
        price_ids: Sequence[str],
        success_url: str,
        cancel_url: str,
        idempotency_key: str,
    ) -> CheckoutSession:
        """Open a checkout session in which the customer subscribes to the prices.

        Source: https://docs.stripe.com/api/checkout/sessions/create
        """
        lines: list[Any] = [
            {"price": price_id} if self.is_metered(price_id) else {"price": price_id, "quantity": 1}
            for price_id in price_ids
        ]
        session = self.read(
            lambda: self.client.v1.checkout.sessions.create(
                {
                    "mode": "subscription",
                    "customer": customer_id,
                    "client_reference_id": organization_id,
                    "line_items": lines,
                    "subscription_data": {"metadata": {"organization_id": organization_id}},
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                },
                {"idempotency_key": idempotency_key},
            )
        ).to_dict()
        return CheckoutSession(session["id"], session["url"], from_unix(session["expires_at"]))

    def open_portal(self, customer_id: str, return_url: str, idempotency_key: str) -> str:
        """Open a session of the customer portal and return its address.

        Source: https://docs.stripe.com/api/customer_portal/sessions/create
        """
        session = self.read(
            lambda: self.client.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": return_url}, {"idempotency_key": idempotency_key}
            )
        )
        return session.url

    def once(self, call: Callable[[], Answer]) -> Answer:
        """Make one call and translate what the SDK raises.

        Raises:
            StripeUnavailableError: no answer, 409, 429, 5xx, or a key that does not work.
            StripeNotFoundError: `resource_missing`.
            StripeRefusedError: any other refusal.
        """
        try:
            return call()
        except stripe.APIConnectionError as error:
            raise StripeUnavailableError("Stripe gave no answer") from error
        except stripe.StripeError as error:
            raise _translated(error) from error
        except ValueError as error:
            # The stream answers `{}`; anything that is not JSON is a broken proxy, not an answer of Stripe's.
            raise StripeUnavailableError("Stripe's answer is not JSON") from error

    def read(self, call: Callable[[], Answer]) -> Answer:
        """Make a call at most three times, with exponential backoff and full jitter between.

        Only for calls without effect, and those whose idempotency key keeps a repetition from having one.
        """
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self.once(call)
            except StripeUnavailableError:
                if attempt == READ_ATTEMPTS:
                    raise
                self.back_off(attempt)
        raise AssertionError("unreachable")

    def back_off(self, attempt: int) -> None:
        """Sleep before the next attempt: a random part of a time that doubles with every attempt."""
        longest = self._backoff_seconds * 2 ** (attempt - 1)
        time.sleep(random.uniform(0, longest))  # noqa: S311  # jitter needs no secrecy

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the objects of a v1 list, page by page, as plain dictionaries.

        The SDK's own lists make an object of everything that is in an object, which takes as long as the call.
        """
        page = self._page(path, params)
        yield from page["data"]
        while page["has_more"] and page["data"]:
            page = self._page(path, {**params, "starting_after": page["data"][-1]["id"]})
            yield from page["data"]

    def _page(self, path: str, params: Mapping[str, Any]) -> Any:
        return self.read(lambda: self.client.raw_request("get", path, **params).data)


@cache
def stripe_gateway() -> StripeGateway:
    """Return the process's gateway, made on first use.

    Raises:
        ConfigurationError: there is no API key; the message names the setting.
    """
    return StripeGateway(secrets_reader().current().api_key, stripe_api_base(), stripe_meter_events_base())


def _translated(error: stripe.StripeError) -> Exception:
    status, code = error.http_status, error.code
    details = error.error
    if code is None and details is not None:
        # The SDK leaves `code` empty for v2's answers.
        code = getattr(details, "code", None)
    message = error.user_message or str(error)
    if code == SESSION_EXPIRED:
        return SessionExpiredError(message, status)
    if status in (401, 403):
        # A key that was revoked says nothing about the request: with a working key the same one succeeds.
        return StripeUnavailableError(f"Stripe does not accept the API key ({status}): check the secret")
    if status is None or status in (409, 429) or status >= 500 or status < 400:
        # Below 400: the SDK could not read the body of a success, so that its effect is unknown.
        return StripeUnavailableError(f"Stripe answered {status}: {message}", status)
    if isinstance(error, stripe.IdempotencyError):
        return KeyReusedError(message, code)
    if code == "resource_missing" or status == 404:
        return StripeNotFoundError(message, code)
    return StripeRefusedError(message, code)


def _is_duplicate(error: StripeRefusedError, identifier: str) -> bool:
    # Usually without a code, so that the message is all there is to go by.
    if error.code in ("duplicate_meter_event", "resource_already_exists"):
        return True
    message = str(error)
    return "already exists with identifier" in message and identifier in message


def _moment(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value.replace("Z", "+00:00"))
