"""Every request of the gateway is one that Stripe's API has: each is made, and the simulator's fixture compares."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from billing import stripe_gateway
from billing.stripe_gateway import (
    catalogue,
    checkout,
    customers,
    events,
    invoices,
    meters,
    portal,
    subscriptions,
    summaries,
)
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.destinations import SnapshotDestinations, ThinDestinations
from billing.stripe_gateway.meter_events import MeterEvents
from billing.stripe_gateway.objects import CheckoutOptions
from operations.provisioning.portal import FEATURES
from stripe_simulator import Simulator, rfc3339
from tests.support.secrets import fixed_secrets

pytestmark = pytest.mark.enable_socket
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NO_CALL = {"meter_events.meter_events", "permissions.lacking_permissions"}
"""What takes a gateway and calls nothing, or calls what is to be refused (test_permissions.py)."""
ALL_OPTIONS = CheckoutOptions(
    automatic_tax=True,
    tax_id_collection=True,
    billing_address_collection="required",
    allow_promotion_codes=True,
    trial_period_days=14,
    missing_payment_method="pause",
    locale="de",
)


@dataclass
class Subscribed:
    """A gateway to an account that has one of each, by identifier."""

    simulator: Simulator
    gateway: StripeGateway
    customer: str
    meter: str
    product: str
    price: str
    subscription: str

    def draft(self) -> str:
        """Let the first period end, and return the id of its draft."""
        MeterEvents(self.gateway).create("readings", "acme-1", int(self.simulator.clock.now()), self.customer, 5)
        self.simulator.clock.set(NOON + timedelta(days=30, minutes=5))
        return next(
            invoice_id
            for invoice_id, invoice in self.simulator.account.invoices.objects.items()
            if invoice["status"] == "draft"
        )

    def second_session(self) -> None:
        addresses = "https://sensors.example/a", "https://sensors.example/b"
        for key in ("first", "second"):
            session = checkout.create_checkout_session(
                self.gateway, "acme", self.customer, [self.price], *addresses, ALL_OPTIONS, key
            )
        checkout.expire_older_sessions(self.gateway, "acme", self.customer, session.checkout_session_id)

    def update_portal(self) -> None:
        portal.create_portal_configuration(self.gateway, FEATURES)
        (made,) = portal.list_portal_configurations(self.gateway)
        portal.update_portal_configuration(self.gateway, made["id"], FEATURES)

    def snapshots(self) -> tuple[SnapshotDestinations, str]:
        destinations = SnapshotDestinations(self.gateway, ["invoice.paid", "customer.subscription.updated"])
        return destinations, destinations.create("https://sensors.example/hook", {"stack": "dev"})[0]

    def thin(self) -> tuple[ThinDestinations, str]:
        destinations = ThinDestinations(self.gateway, ["v1.billing.meter.no_meter_found"])
        return destinations, destinations.create("https://sensors.example/hook", {"stack": "dev"})[0]


def _then(made: tuple[Any, str], call: Callable[[Any, str], object]) -> object:
    return call(*made)


CALLS: dict[str, Callable[[Subscribed], object]] = {
    "catalogue.retrieve_product": lambda it: catalogue.retrieve_product(it.gateway, it.product),
    "catalogue.create_product": lambda it: catalogue.create_product(it.gateway, {"id": "p", "name": "Readings"}),
    "catalogue.update_product": lambda it: catalogue.update_product(it.gateway, it.product, {"name": "More"}),
    "catalogue.list_prices_by_lookup_key": lambda it: catalogue.list_prices_by_lookup_key(it.gateway, ["a", "b"]),
    "catalogue.list_active_prices": lambda it: catalogue.list_active_prices(it.gateway, it.product),
    "catalogue.create_price": lambda it: catalogue.create_price(
        it.gateway, {"product": it.product, "currency": "eur", "unit_amount_decimal": "0.25", "lookup_key": "key"}
    ),
    "catalogue.update_price": lambda it: catalogue.update_price(it.gateway, it.price, {"active": False}),
    "catalogue.retrieve_price": lambda it: catalogue.retrieve_price(it.gateway, it.price),
    "checkout.is_metered": lambda it: checkout.is_metered(it.gateway, it.price),
    "checkout.create_checkout_session": lambda it: checkout.create_checkout_session(
        it.gateway, "acme", it.customer, [it.price], "https://a.example", "https://b.example", ALL_OPTIONS, "key"
    ),
    "checkout.expire_older_sessions": lambda it: it.second_session(),
    "customers.find_customer": lambda it: customers.find_customer(it.gateway, "acme", NOON),
    "customers.create_customer": lambda it: customers.create_customer(it.gateway, "acme", "key"),
    "customers.has_customer": lambda it: customers.has_customer(it.gateway, it.customer),
    "destinations.SnapshotDestinations.all": lambda it: list(it.snapshots()[0].all()),
    "destinations.SnapshotDestinations.create": lambda it: it.snapshots(),
    "destinations.SnapshotDestinations.update": lambda it: _then(
        it.snapshots(), lambda api, made: api.update(made, enabled_events=["invoice.paid"], metadata={"stack": "prod"})
    ),
    "destinations.SnapshotDestinations.enable": lambda it: _then(it.snapshots(), lambda api, made: api.enable(made)),
    "destinations.SnapshotDestinations.delete": lambda it: _then(it.snapshots(), lambda api, made: api.delete(made)),
    "destinations.ThinDestinations.all": lambda it: list(it.thin()[0].all()),
    "destinations.ThinDestinations.create": lambda it: it.thin(),
    "destinations.ThinDestinations.update": lambda it: _then(
        it.thin(), lambda api, made: api.update(made, enabled_events=["v1.invoice.paid"], metadata={"stack": "prod"})
    ),
    "destinations.ThinDestinations.enable": lambda it: _then(it.thin(), lambda api, made: api.enable(made)),
    "destinations.ThinDestinations.delete": lambda it: _then(it.thin(), lambda api, made: api.delete(made)),
    "events.retrieve_event": lambda it: events.retrieve_event(it.gateway, "evt_first"),
    "events.retrieve_thin_event": lambda it: events.retrieve_thin_event(it.gateway, "evt_test_first"),
    "events.list_undelivered_snapshots": lambda it: events.list_undelivered_snapshots(
        it.gateway, ["invoice.paid", "customer.subscription.updated"], NOON
    ),
    "events.list_newest_snapshots": lambda it: events.list_newest_snapshots(it.gateway, ["invoice.paid"], NOON),
    "events.list_newest_thin_events": lambda it: events.list_newest_thin_events(it.gateway, ["v1.invoice.paid"], NOON),
    "events.list_thin_events": lambda it: events.list_thin_events(it.gateway, ["v1.invoice.paid"], NOON),
    "invoices.retrieve_invoice": lambda it: invoices.retrieve_invoice(it.gateway, it.draft()),
    "invoices.list_invoices": lambda it: list(invoices.list_invoices(it.gateway, it.subscription, NOON)),
    "invoices.unpaid_since": lambda it: invoices.unpaid_since(it.gateway, it.subscription),
    "invoices.list_grace_periods": lambda it: invoices.list_grace_periods(it.gateway),
    "invoices.hold_draft": lambda it: invoices.hold_draft(it.gateway, it.draft(), NOON + timedelta(days=40)),
    "meter_events.MeterEvents.create": lambda it: MeterEvents(it.gateway).create(
        "readings", "acme-1", int(NOON.timestamp()), it.customer, 5
    ),
    "meter_events.MeterEvents.stream": lambda it: MeterEvents(it.gateway).stream(
        [
            {
                "event_name": "readings",
                "identifier": "acme-1",
                "timestamp": rfc3339(NOON.timestamp()),
                "payload": {"stripe_customer_id": it.customer, "value": "5"},
            }
        ]
    ),
    "meters.list_meters": lambda it: meters.list_meters(it.gateway),
    "meters.event_names_of": lambda it: meters.event_names_of(it.gateway, {it.meter}),
    "meters.create_meter": lambda it: meters.create_meter(it.gateway, "sensors", "last", "Sensors"),
    "meters.rename_meter": lambda it: meters.rename_meter(it.gateway, it.meter, "All readings"),
    "meters.reactivate_meter": lambda it: meters.reactivate_meter(it.gateway, it.meter),
    "portal.list_portal_configurations": lambda it: portal.list_portal_configurations(it.gateway),
    "portal.own_portal_configuration": lambda it: portal.own_portal_configuration(it.gateway),
    "portal.create_portal_configuration": lambda it: portal.create_portal_configuration(it.gateway, FEATURES),
    "portal.update_portal_configuration": lambda it: it.update_portal(),
    "portal.create_portal_session": lambda it: portal.create_portal_session(
        it.gateway, it.customer, "https://sensors.example", "key"
    ),
    "subscriptions.end_with_period": lambda it: subscriptions.end_with_period(it.gateway, it.subscription),
    "subscriptions.go_on": lambda it: [
        subscriptions.go_on(it.gateway, subscriptions.end_with_period(it.gateway, it.subscription)),
        subscriptions.go_on(
            it.gateway, replace(subscriptions.end_with_period(it.gateway, it.subscription), cancel_at_period_end=False)
        ),
    ],
    "subscriptions.end_at_once": lambda it: subscriptions.end_at_once(it.gateway, it.subscription, prorate=True),
    "subscriptions.list_all_subscriptions": lambda it: list(subscriptions.list_all_subscriptions(it.gateway)),
    "subscriptions.list_subscriptions": lambda it: subscriptions.list_subscriptions(it.gateway, it.customer),
    "subscriptions.retrieve_subscription": lambda it: subscriptions.retrieve_subscription(it.gateway, it.subscription),
    "summaries.hourly_summaries": lambda it: summaries.hourly_summaries(
        it.gateway, it.meter, it.customer, NOON, NOON + timedelta(hours=2)
    ),
}


def calling_functions() -> Iterator[str]:
    """Yield every public function and method that is given a gateway, as `module.name` or `module.Class.name`."""
    for module_name in sorted(module.name for module in pkgutil.iter_modules(stripe_gateway.__path__)):
        module = import_module(f"billing.stripe_gateway.{module_name}")
        for name, member in sorted(vars(module).items()):
            if name.startswith("_") or getattr(member, "__module__", "") != module.__name__:
                continue
            if callable(member) and "gateway" in inspect.signature(member).parameters:
                methods = vars(member) if isinstance(member, type) else {"": member}
                for method in methods:
                    if not method.startswith("_") and callable(methods[method]):
                        yield f"{module_name}.{name}{'.' if method else ''}{method}"


@pytest.fixture
def subscribed(simulator: Simulator) -> Subscribed:
    account = simulator.account
    simulator.clock.set(NOON)
    with account.chosen_ids({"evt": ["evt_first"], "evt_test": ["evt_test_first"]}):
        meter = account.meters.create(
            {"display_name": "Readings", "event_name": "readings", "default_aggregation": {"formula": "sum"}}
        )
    customer = account.customers.create({"metadata": {"organization_id": "acme"}})
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter["id"]}
    price = account.prices.create(
        {"currency": "eur", "unit_amount": 1, "recurring": recurring, "product_data": {"name": "Readings"}}
    )
    subscription = account.subscriptions.create({"customer": customer["id"], "items": [{"price": price["id"]}]})
    simulator.clock.advance(86_400)
    gateway = StripeGateway(fixed_secrets("sk_test_gateway"), simulator.base_url, simulator.base_url)
    return Subscribed(
        simulator, gateway, customer["id"], meter["id"], price["product"], price["id"], subscription["id"]
    )


@pytest.mark.parametrize("name", sorted({*calling_functions(), *CALLS} - NO_CALL))
def test_every_function_that_calls_stripe_makes_requests_that_stripe_has(
    name: str, subscribed: Subscribed, simulator: Simulator
) -> None:
    assert name in CALLS, "say in CALLS how the function is called, so that its requests are compared"

    CALLS[name](subscribed)

    statuses = [request.status for request in simulator.requests]
    assert statuses
    assert set(statuses) == {200}
    assert simulator.requests.unknown == []
