"""A model of how Stripe's events reach an organisation's record, and a search through all orders: `make model`.

Read in this order:

    state.py      what Stripe, the tables, the deliveries under way and a run of metering know at a moment
    rules.py      what a delivery reads and writes; what it decides is decided by the real `billing.webhooks.decision`
    steps.py      what can happen next
    scenarios.py  what happens at Stripe
    search.py     what has to hold, and the search (`programs/model/breadth_first.py`)
    weaker.py     the rules with one left out at a time, and those that were once in use

docs/model.md tells what the model leaves out.
"""
