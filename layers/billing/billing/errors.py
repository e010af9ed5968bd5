"""The errors of this stack, by what cures them.

    BillingError
    ├── RefusedError                nothing cures it but another input: HTTP 400, or the hour is marked `refused`
    │   ├── NotAStripeDeliveryError     the request is no genuine Stripe webhook
    │   ├── InvalidUsageError           a usage record that no hour can hold
    │   ├── RejectedUsageError          a usage event that never counts as it is (ingestion/events.py): a dead letter
    │   ├── InvalidRequestError         a request to the billing API that breaks a rule of its own: HTTP 422
    │   ├── NotSubscribedError          the organisation has no customer or subscription to look at: HTTP 404
    │   ├── AlreadySubscribedError      the organisation has a living subscription: HTTP 409
    │   ├── SubscriptionStateError      what is asked for cannot be done to a subscription as it is: HTTP 409
    │   └── StripeRefusedError          Stripe said no, and will say no again
    │       ├── KeyReusedError              the idempotency key came before, with other parameters
    │       └── StripeNotFoundError         the object does not exist (any more) in this Stripe account
    ├── UnavailableError            the same again later can succeed: HTTP 500, or the hour stays due
    │   ├── StripeUnavailableError      no response, 409, 429, 5xx
    │   │   └── StripeKeyError              a key that does not work, or may not do this
    │   ├── ContentionError             others kept writing the same item
    │   ├── UsageNotToldError           Stripe has to be told an organisation's usage first: HTTP 409
    │   └── UsageNotSentError           the queue did not take usage: send the same again
    └── ConfigurationError          a person has to change a setting: the message says which
        ├── NotSetUpError               the stack is new: nobody has filled its secret yet
        └── MeterMisconfiguredError     a Stripe meter that would bill wrongly

Whatever else is raised is a defect of ours: HTTP 500 and an alarm, never a silent 200.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.ingestion.sending import Usage


class BillingError(Exception):
    """Any error that this package raises on purpose."""


class RefusedError(BillingError):
    """The refusal of an input, which will be refused again however often it comes."""


class NotAStripeDeliveryError(RefusedError):
    """A request that is not a genuine Stripe webhook; the message says why, and is safe to return to the sender."""


class InvalidUsageError(RefusedError):
    """Usage that no hour can hold; the message names the part of it, and what that must be."""


class InvalidRequestError(RefusedError):
    """A `field` of a request to the billing API that breaks a rule; the message is the rule, for the caller."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotSubscribedError(RefusedError):
    """An organisation without what is asked for; the message is for the caller."""


class AlreadySubscribedError(RefusedError):
    """An organisation that has a living subscription already; the message is for the caller."""


class SubscriptionStateError(RefusedError):
    """A subscription that is not in the state that a request needs; the message is for the caller."""


class StripeRefusedError(RefusedError):
    """Stripe's refusal.

    `code` is Stripe's error code where it gave one; `str()` is Stripe's message.
    Source: https://docs.stripe.com/api/errors
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class StripeNotFoundError(StripeRefusedError):
    """An object that Stripe does not have (`resource_missing`)."""


class KeyReusedError(StripeRefusedError):
    """An idempotency key that came before with other parameters: another request needs another key."""


class UnavailableError(BillingError):
    """A failure of a call that can succeed later."""


class StripeUnavailableError(UnavailableError):
    """No response from Stripe, or one that asks to try again (409, 429, 5xx).

    `status` is the response's HTTP status, None where there was no response.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StripeKeyError(StripeUnavailableError):
    """Stripe's refusal of the API key (401), or of what it may do (403): with another key the same succeeds.

    `permission` is what the key lacks, as Stripe names it (`rak_price_read`), where it does.
    """

    def __init__(self, message: str, status: int, permission: str | None = None) -> None:
        super().__init__(message, status)
        self.permission = permission


class ContentionError(UnavailableError):
    """An item that changed under every attempt to write it."""


class UsageNotToldError(UnavailableError):
    """Usage that Stripe has to be told before a subscription may end; the message is for the caller."""


class UsageNotSentError(UnavailableError):
    """Usage that the queue did not take, in `unsent`; to send it again, or all that it was sent with, is safe."""

    def __init__(self, message: str, unsent: Sequence[Usage]) -> None:
        super().__init__(message)
        self.unsent = tuple(unsent)


class ConfigurationError(BillingError):
    """A setting that is missing or wrong; the message names it and what it must be."""


class NotSetUpError(ConfigurationError):
    """A secret as the template made it, which nobody has filled yet."""


class MeterMisconfiguredError(ConfigurationError):
    """A Stripe meter that would bill wrongly; the message names it and what to do."""
