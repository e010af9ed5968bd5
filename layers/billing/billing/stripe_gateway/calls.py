"""Calls to one Stripe account: made, repeated where that is harmless, and their errors translated."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import stripe

from billing.errors import (
    KeyReusedError,
    StripeKeyError,
    StripeNotFoundError,
    StripeRefusedError,
    StripeUnavailableError,
)
from billing.settings import key_livemode, stripe_api_base, stripe_meter_events_base
from billing.stripe_secrets import SecretsReader, secrets_reader

# The version that the code and its simulator were written for; an upgrade of the SDK does not change it by itself.
API_VERSION = "2026-10-28.endive"
# Stripe responds in a fraction of a second; a webhook needs a response within ten.
TIMEOUT_SECONDS = 8.0
READ_ATTEMPTS = 3
FIRST_BACKOFF_SECONDS = 0.2
SESSION_EXPIRED = "billing_meter_event_session_expired"

Response = TypeVar("Response")


class SessionExpiredError(StripeUnavailableError):
    """A refusal of an expired session token: a new session is all that is needed."""


class StripeGateway:
    """The SDK's client for one account. One instance serves all threads of a process.

    The client is reachable only within a call, which gets it as its argument: so no call escapes the translation. It
    is made with the key that `secrets` have now, so that a rotated key is in use as soon as it is known; one that
    Stripe no longer accepts is looked up anew.
    """

    def __init__(self, secrets: SecretsReader, api_base: str = "", meter_events_base: str = "") -> None:
        self._secrets = secrets
        self._addresses = {"api": api_base, "meter_events": meter_events_base}
        self._http_client = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
        self._made: tuple[str, stripe.StripeClient] | None = None

    def _client(self) -> stripe.StripeClient:
        api_key, made = self._secrets.current().api_key, self._made
        if made is None or made[0] != api_key:
            # Two threads at once make one each, and the later one stays.
            self._made = made = (api_key, self._client_with(api_key))
        return made[1]

    def _client_with(self, api_key: str) -> stripe.StripeClient:
        addresses: Any = {name: address for name, address in self._addresses.items() if address}
        return stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses=addresses,
            # The SDK's own retries repeat the idempotency key, to which Stripe repeats a saved 500.
            max_network_retries=0,
            http_client=self._http_client,
        )

    @property
    def livemode(self) -> bool | None:
        """Say whether the key is of live mode; None where a key does not show it. https://docs.stripe.com/keys."""
        return key_livemode(self._secrets.current().api_key)

    def once(self, call: Callable[[stripe.StripeClient], Response]) -> Response:
        """Make one call and translate what the SDK raises. Every call to Stripe passes here.

        Raises:
            StripeUnavailableError: no response, 409, 429, 5xx, or a key that does not work.
            StripeNotFoundError: `resource_missing`.
            StripeRefusedError: any other refusal.
        """
        try:
            return self._call(call)
        except stripe.APIConnectionError as error:
            raise StripeUnavailableError("Stripe gave no response") from error
        except stripe.StripeError as error:
            raise _translated(error) from error
        except ValueError as error:
            # The stream's response is `{}`; anything that is not JSON comes from a broken proxy, not from Stripe.
            raise StripeUnavailableError("Stripe's response is not JSON") from error

    def _call(self, call: Callable[[stripe.StripeClient], Response]) -> Response:
        client = self._client()
        try:
            return call(client)
        except stripe.AuthenticationError:
            # A session token that has expired is no matter of the key, which stays the same then.
            self._secrets.refreshed()
            renewed = self._client()
            if renewed is client:
                raise
            # Stripe did nothing for a key that it did not accept: the same call again is no repetition.
            return call(renewed)

    def read(self, call: Callable[[stripe.StripeClient], Response]) -> Response:
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

    @staticmethod
    def back_off(attempt: int) -> None:
        """Sleep before the next attempt: a random part of a time that doubles with every attempt."""
        longest = FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)
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
        return self.read(lambda client: client.raw_request("get", path, **params).data)


@cache
def stripe_gateway() -> StripeGateway:
    """Return the process's gateway, made on first use.

    Raises:
        ConfigurationError: there is no API key; the message names the setting.
    """
    secrets_reader().current()
    return StripeGateway(secrets_reader(), stripe_api_base(), stripe_meter_events_base())


def _translated(error: stripe.StripeError) -> Exception:
    status, code = error.http_status, error.code
    details = error.error
    if code is None and details is not None:
        # The SDK leaves `code` empty for v2's errors.
        code = getattr(details, "code", None)
    message = error.user_message or str(error)
    if code == SESSION_EXPIRED:
        return SessionExpiredError(message, status)
    if status in (401, 403):
        # A key that was revoked says nothing about the request: with a working key the same one succeeds.
        return _key_error(status, message)
    if status is None or status in (409, 429) or status >= 500 or status < 400:
        # Below 400: the SDK could not read the body of a success, so that its effect is unknown.
        return StripeUnavailableError(f"Stripe responded with {status}: {message}", status)
    if isinstance(error, stripe.IdempotencyError):
        return KeyReusedError(message, code)
    if code == "resource_missing" or status == 404:
        return StripeNotFoundError(message, code)
    return StripeRefusedError(message, code)


def _key_error(status: int, message: str) -> StripeKeyError:
    """Return the error of a key; of Stripe's message only the permission is told, for it quotes parts of the key."""
    permission = re.search(r"\brak_\w+", message)
    lacks = f", it lacks the permission {permission[0]}" if permission else ""
    return StripeKeyError(
        f"Stripe does not accept the API key ({status}): check the secret{lacks}",
        status,
        permission[0] if permission else None,
    )
