"""A Stripe account on this machine, for whoever bills with Stripe. docs/stripe-simulator.md is its manual.

An unchanged stripe-python (or any other client) talks to it over HTTP. It keeps state and behaves as documentation and
measurements say that Stripe does, mistakes included. It needs nothing but Python's standard library. In a test:

    with running_simulator() as simulator:
        client = StripeClient("sk_test_x", base_addresses=simulator.base_addresses)
        session = client.v1.checkout.sessions.create({...})
        simulator.account.complete_checkout_session(session.id)         # the buyer pays
        for delivery in simulator.webhooks.take():                      # deliver in any order, late, twice
            delivery.record(my_handler(delivery.body, delivery.headers()).status)
        simulator.clock.advance(31 * 86400)                             # renewals and invoices happen on the way
        simulator.faults.add("cut_after_effect", "/v1/billing/meter_events", nth=3)
        assert simulator.requests.unknown == []

In a process of its own: `python -m stripe_simulator`, controlled by a `SimulatorClient`.

Where things are:
    simulator                   everything together; server, protocol, routes, parameters: from HTTP to the account
    account                     the state; a module for each of Stripe's resources: customers, prices, invoices, …
    webhooks, dispatcher        who gets which events; deliveries to destinations, in the shapes of older API versions
    faults, settings, clock     what a test decides
    control, client, pages      the control API, its client, the pages for people
"""

from stripe_simulator.account import Account
from stripe_simulator.client import SimulatorClient, SimulatorError
from stripe_simulator.clock import rfc3339
from stripe_simulator.deliveries import Delivery, sign
from stripe_simulator.errors import ApiError
from stripe_simulator.faults import Fault
from stripe_simulator.settings import Settings
from stripe_simulator.shapes import older_shape, with_expanded
from stripe_simulator.simulator import Simulator, running_simulator

__all__ = [
    "Account",
    "ApiError",
    "Delivery",
    "Fault",
    "Settings",
    "Simulator",
    "SimulatorClient",
    "SimulatorError",
    "older_shape",
    "rfc3339",
    "running_simulator",
    "sign",
    "with_expanded",
]
