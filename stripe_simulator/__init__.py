"""A Stripe account on this machine, for tests, the demo, `sam local` and benchmarks.

An unchanged stripe-python talks to it over HTTP; it keeps state and behaves as docs and measurements say Stripe does,
mistakes included. In a test:

    with running_simulator() as simulator:
        client = StripeClient("sk_test_x", base_addresses=simulator.base_addresses)
        meter = client.v1.billing.meters.create({..., "event_time_window": "hour"})
        simulator.clock.set(1_795_420_800)              # stops it there; advance(seconds), run()
        session = client.v1.checkout.sessions.create({...})
        snapshots = simulator.webhooks.add_destination()                # secret in snapshots.secret
        thin = simulator.webhooks.add_destination(payload="thin")
        simulator.account.complete_checkout_session(session.id)         # the buyer pays
        for delivery in simulator.webhooks.take():                      # in any order, late, twice
            answer = my_handler(delivery.body, delivery.headers())
            delivery.record(answer.status)
        simulator.faults.add("cut_after_effect", "/v1/billing/meter_events", nth=3)
        simulator.account.billed(customer_id, "active_sensors", start, end)     # what an invoice bills
        simulator.account.hourly(customer_id, "active_sensors")                 # {hour start: value}
        simulator.requests.to("POST /v1/billing/meter_events")          # every request; .unknown must stay empty
        simulator.settings.most_recent = "timestamp"                    # see settings.py for all switches
        simulator.reset()                                               # empty again, at once

Damage on purpose: `account.meter_events.lose_hour(customer, event_name, hour)` and `double_hour`,
`account.subscriptions.set_status(id, status, emit=False)`, `account.customers.delete(id)`,
`account.customers.set_payment_outcome(id, "payment_failed")`, `account.meter_event_sessions.expire_all()`,
`account.error_reports.trigger(meter_id, code, identifiers)`, `webhooks.resend(event_id)`,
`webhooks.rotate_secret(destination_id)`, `shapes.older_shape(event)`, `shapes.with_expanded(account, event, paths)`.

Alone: `python -m stripe_simulator --host 0.0.0.0 --port 12111`, controlled by `client.SimulatorClient(base_url)`.
`webhooks.start_automatic()` posts deliveries in the background, with Stripe's retries on the simulator's clock.

Signatures are stamped with real time (receivers compare with it), everything else with the simulator's clock.
"""

from stripe_simulator.faults import Fault
from stripe_simulator.settings import Settings
from stripe_simulator.simulator import Simulator, running_simulator
from stripe_simulator.webhooks import Delivery, sign

__all__ = ["Delivery", "Fault", "Settings", "Simulator", "running_simulator", "sign"]
