"""All checks, in the order in which a person would look: a line that is bad explains those below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from billing.errors import StripeKeyError, StripeUnavailableError
from billing.telemetry import described, logger
from operations.doctor.deliveries import check_arrival, check_destinations
from operations.doctor.findings import Finding, from_error, unknown
from operations.doctor.hours import check_all_hours, check_due, check_hidden
from operations.doctor.key import check_account, check_permissions, check_secret, check_stack
from operations.doctor.organizations import check_organizations
from operations.doctor.parameters import check_parameters
from operations.doctor.place import Place
from operations.doctor.queues import check_dead_letters, check_usage_queue
from operations.doctor.sales import check_grace_period, check_meters, check_portal, check_prices
from operations.doctor.schedule import check_alarms, check_runs, check_schedules, check_subscribers


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, which is the line's subject where it fails, what it asks, and whether it needs a stack."""

    subject: str
    run: Callable[[Place], Iterable[Finding]]
    asks_stripe: bool = False
    is_of_stack: bool = False


CHECKS = (
    Check("AWS", check_account),
    Check("Stack", check_stack),
    Check("Stripe key", check_secret),
    Check("Key's permissions", check_permissions, asks_stripe=True),
    Check("Parameters", check_parameters),
    Check("Meters", check_meters, asks_stripe=True),
    Check("Prices", check_prices, asks_stripe=True),
    Check("Customer portal", check_portal, asks_stripe=True),
    Check("Grace period", check_grace_period, asks_stripe=True),
    Check("Webhook destinations", check_destinations, asks_stripe=True),
    Check("Events", check_arrival, asks_stripe=True),
    Check("Organisations", check_organizations),
    Check("Schedules", check_schedules, is_of_stack=True),
    Check("Last successful run", check_runs, is_of_stack=True),
    Check("Oldest due hour", check_due),
    Check("Hidden hours", check_hidden),
    Check("All hours", check_all_hours),
    Check("Usage queue", check_usage_queue),
    Check("Dead-letter queues", check_dead_letters),
    Check("Alarms", check_alarms, is_of_stack=True),
    Check("Alarms' receivers", check_subscribers, is_of_stack=True),
)


def examine(place: Place, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """Yield the lines of every check; one that fails is a line of its own, behind what it has found by then.

    Where Stripe did not respond to one check, which takes its time, the others do not ask it again.
    """
    for check in checks:
        if check.is_of_stack and place.stack is None:
            continue
        if check.asks_stripe and not place.has_key:
            yield unknown(check.subject, "there is no key to ask Stripe with", "See the line of the key.")
            continue
        if check.asks_stripe and place.is_stripe_away:
            yield unknown(check.subject, "Stripe did not respond to the check before", "Run it again later.")
            continue
        try:
            yield from check.run(place)
        except Exception as error:
            # A defect of one check must not hide what the others see.
            logger.info("A check failed", extra={"check": check.subject} | described(error))
            if isinstance(error, StripeUnavailableError) and not isinstance(error, StripeKeyError):
                place.is_stripe_away = True
            yield from_error(check.subject, error)
