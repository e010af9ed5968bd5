"""Stripe, as this stack uses it: the only package that imports stripe.

calls.py          the SDK's client: one call, a read with retries, the pages of a list; the SDK's errors become ours
objects.py        Stripe's JSON as small values of our own; imports nothing of the SDK
signatures.py     webhooks: did Stripe sign this body?
events.py         webhooks and their replay: events
subscriptions.py  webhooks and checkout: subscriptions
meters.py         metering, comparison and provisioning: meters
meter_events.py   metering: totals, one a call or by the hundred
summaries.py      comparison: what Stripe counted
customers.py      the API: an organisation's customer
checkout.py       the API: pages of Stripe's that a buyer is sent to
catalogue.py      provisioning: products and prices
destinations.py   provisioning: webhook destinations

Every function raises the errors of `billing.errors` and nothing of the SDK's, and returns values of our own or plain
dictionaries: no change of the SDK's classes goes further than this package. Import the module that you need:
`objects` alone does not load the SDK.
"""
