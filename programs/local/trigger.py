"""Make an event happen at the Stripe of `make local`, as `stripe trigger` does in a sandbox.

    make trigger EVENT=customer.subscription.deleted
    python -m programs.local.trigger invoice.paid --organization acme

Nothing is made up: the change itself is made at the account, so that the event, and those that come with it, are
signed, delivered, and agree with what the webhook then fetches. Without --organization it is that of a new one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import stripe

from billing import clock, get_stripe_meter_service
from billing.tables.subscriptions import SubscriptionRecord
from programs.local import delivered
from programs.local.environment import NotRunningError, connect
from stripe_simulator import SimulatorClient, SimulatorError

READINGS, SENSORS = 120, 4
FIRST_SECONDS = timedelta(seconds=4)


class CannotTriggerError(Exception):
    """The change cannot be made; the message says why."""


class Scene:
    """The account, and the organisation to which something happens there."""

    def __init__(self, simulator: SimulatorClient, organization_id: str | None) -> None:
        self.simulator = simulator
        base: Any = {"api": simulator.base_url, "meter_events": simulator.base_url}
        self.stripe = stripe.StripeClient(os.environ["STRIPE_SECRET_KEY"], base_addresses=base).v1
        self._is_new = organization_id is None
        self.organization_id = organization_id or f"triggered-{time.time_ns() // 1_000_000}"

    def subscribe(self) -> None:
        """Let the organisation go through checkout."""
        session = self.stripe.checkout.sessions.create(
            {
                "mode": "subscription",
                "client_reference_id": self.organization_id,
                "line_items": [{"price": price} for price in os.environ["ALLOWED_PRICE_IDS"].split(",")],
                "subscription_data": {"metadata": {"organization_id": self.organization_id}},
                "success_url": os.environ["BILLING_API"],
            }
        )
        self.simulator.complete_checkout_session(session.id)

    def subscription(self) -> SubscriptionRecord:
        """Return the organisation's subscription, as the webhook stored it; a new organisation's is made first.

        Raises:
            CannotTriggerError: it has none.
        """
        record = SubscriptionRecord.of(self.organization_id, consistent=True)
        if record is None and self._is_new:
            with delivered.awaited(self.simulator):
                self.subscribe()
            record = SubscriptionRecord.of(self.organization_id, consistent=True)
        if record is None or not record.stripe_subscription_id:
            raise CannotTriggerError(f"{self.organization_id} has no subscription; without ORGANIZATION a new one has.")
        return record

    def subscription_id(self) -> str:
        """Return the id of the organisation's subscription."""
        return str(self.subscription().stripe_subscription_id)

    def draft(self) -> str:
        """Bill usage of this moment by ending the subscription at once; return the draft's id.

        Raises:
            CannotTriggerError: Stripe does not take the usage.
        """
        record, service = self.subscription(), get_stripe_meter_service()
        for result in (
            service.report_reading_volume(self.organization_id, READINGS),
            service.report_active_sensors(self.organization_id, SENSORS),
        ):
            if not result.success:
                raise CannotTriggerError(f"Usage of {self.organization_id} was not sent: {result.error}")
        # Usage of a period's first hour is stamped with its first seconds: it has to live longer than these.
        while record.current_period_start and clock.utc_now() - record.current_period_start < FIRST_SECONDS:
            time.sleep(0.1)
        ended = self.stripe.subscriptions.cancel(str(record.stripe_subscription_id), {"invoice_now": True})
        return str(ended.latest_invoice)

    def unpaid(self) -> str:
        """Have an invoice whose payment fails; return its id."""
        customer_id = self.subscription().stripe_customer_id
        self.simulator.tamper("set_payment_outcome", customer_id=customer_id, outcome="payment_failed")
        invoice_id = self.draft()
        self.stripe.invoices.finalize_invoice(invoice_id)
        return invoice_id


def _update(scene: Scene) -> None:
    scene.stripe.subscriptions.update(scene.subscription_id(), {"metadata": {"triggered_at": str(time.time())}})


def _pause(scene: Scene) -> None:
    scene.stripe.subscriptions.pause(scene.subscription_id(), {"type": "subscription"})


def _resume(scene: Scene) -> None:
    _pause(scene)
    scene.stripe.subscriptions.resume(scene.subscription_id())


def _delete(scene: Scene) -> None:
    scene.stripe.subscriptions.cancel(scene.subscription_id())


def _finalize(scene: Scene) -> None:
    scene.stripe.invoices.finalize_invoice(scene.draft())


def _void(scene: Scene) -> None:
    scene.stripe.invoices.void_invoice(scene.unpaid())


def _report_an_error(scene: Scene) -> None:
    meter = next(iter(scene.stripe.billing.meters.list()))
    scene.simulator.tamper(
        "error_report", meter_id=meter.id, code="meter_event_customer_not_found", identifiers=["made-up:identifier"]
    )


def _report_no_meter(scene: Scene) -> None:
    scene.simulator.tamper("error_report", meter_id=None, code="no_meter", identifiers=["made-up:identifier"])


CHANGES: dict[str, Callable[[Scene], object]] = {
    "checkout.session.completed": Scene.subscribe,
    "customer.subscription.created": Scene.subscribe,
    "customer.subscription.updated": _update,
    "customer.subscription.paused": _pause,
    "customer.subscription.resumed": _resume,
    "customer.subscription.deleted": _delete,
    "invoice.created": Scene.draft,
    "invoice.finalized": _finalize,
    "invoice.paid": _finalize,
    "invoice.payment_failed": Scene.unpaid,
    "invoice.voided": _void,
    "v1.billing.meter.error_report_triggered": _report_an_error,
    "v1.billing.meter.no_meter_found": _report_no_meter,
}
# Of every change of a subscription Stripe tells both destinations.
CHANGES |= {f"v1.{event}": change for event, change in CHANGES.items() if event.startswith("customer.subscription.")}


def main() -> int:
    """Make an event happen, and show what was delivered with it; without an event list those that can."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.trigger", description=main.__doc__)
    parser.add_argument("event", nargs="?", help="for instance customer.subscription.updated")
    parser.add_argument("--organization", help="whose subscription (default: a new one's)")
    arguments = parser.parse_args()
    listed = "\n  ".join(["EVENT is one of:", *CHANGES])
    if arguments.event is None:
        print(listed)
        return 0
    if arguments.event not in CHANGES:
        print(f"{arguments.event} cannot be triggered. {listed}", file=sys.stderr)
        return 2
    try:
        simulator = connect()
        # The time of the stack, which may have been moved.
        clock.utc_now = lambda: clock.from_unix(simulator.now())
        scene = Scene(simulator, arguments.organization)
        with delivered.shown(simulator):
            CHANGES[arguments.event](scene)
            print(f"{arguments.event} ({scene.organization_id}). Delivered, with the webhook's status:")
    except (NotRunningError, CannotTriggerError, SimulatorError) as error:
        print(error, file=sys.stderr)
        return 1
    except stripe.StripeError as error:
        print(f"Stripe refused it: {error.user_message or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
