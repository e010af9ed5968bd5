"""The errors of this stack, by what cures them.

    BillingError
    ├── RefusedError                nothing cures it but another input: HTTP 400, or the hour is marked `refused`
    │   ├── NotAStripeDeliveryError     the request is no genuine Stripe webhook
    │   ├── InvalidUsageError           a usage record that no hour can hold
    │   ├── InvalidRequestError         a request to the billing API that breaks a rule of its own: HTTP 422
    │   ├── NotSubscribedError          the organisation has no customer or subscription to look at: HTTP 404
    │   ├── AlreadySubscribedError      the organisation has a living subscription: HTTP 409
    │   └── StripeRefusedError          Stripe said no, and will say no again
    │       ├── KeyReusedError              the idempotency key came before, with other parameters
    │       └── StripeNotFoundError         the object does not exist (any more) in this Stripe account
    ├── UnavailableError            the same again later can succeed: HTTP 500, or the hour stays due
    │   ├── StripeUnavailableError      no answer, 409, 429, 5xx
    │   └── ContentionError             others kept writing the same item
    └── ConfigurationError          a person has to change a setting: the message says which
        └── MeterMisconfiguredError     a Stripe meter that would bill wrongly

Whatever else is raised is a defect of ours: HTTP 500 and an alarm, never a silent 200.
"""

from __future__ import annotations


class BillingError(Exception):
    """Be the base of every error that this package raises on purpose."""


class RefusedError(BillingError):
    """Say that the same input will be refused again, however often it comes."""


class NotAStripeDeliveryError(RefusedError):
    """Say why a request is not a genuine Stripe webhook; the message is safe to answer with."""


class InvalidUsageError(RefusedError):
    """Say which part of a usage record cannot be stored, and what it must be."""


class InvalidRequestError(RefusedError):
    """Say which `field` of a request to the billing API breaks a rule, and the rule; safe to answer with."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotSubscribedError(RefusedError):
    """Say that the organisation has nothing of the kind yet; safe to answer with."""


class AlreadySubscribedError(RefusedError):
    """Say that the organisation has a living subscription; safe to answer with."""


class StripeRefusedError(RefusedError):
    """Carry Stripe's refusal.

    `code` is Stripe's error code where it gave one; `str()` is Stripe's message.
    Source: https://docs.stripe.com/api/errors
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class StripeNotFoundError(StripeRefusedError):
    """Say that Stripe has no such object (`resource_missing`)."""


class KeyReusedError(StripeRefusedError):
    """Say that an idempotency key came before with other parameters: another request needs another key."""


class UnavailableError(BillingError):
    """Say that the same call can succeed later."""


class StripeUnavailableError(UnavailableError):
    """Say that Stripe gave no answer, or one that asks to try again (409, 429, 5xx).

    `status` is the answer's HTTP status, None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ContentionError(UnavailableError):
    """Say that an item changed under every attempt to write it."""


class ConfigurationError(BillingError):
    """Name the setting that is missing or wrong, and what it must be."""


class MeterMisconfiguredError(ConfigurationError):
    """Name the Stripe meter that would bill wrongly, and what to do about it."""
