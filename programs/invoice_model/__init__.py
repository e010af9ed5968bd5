"""A model of how periods, their hours and their invoices end up equal, and a search through all orders: `make model`.

Read in this order:

    state.py      what Stripe, the two tables and the workers under way know at a moment
    rules.py      what workers read and write; what they decide is decided by the real `billing.periods`,
                  `billing.invoices.owed`, `billing.invoices.boundary` and `billing.metering.plan`
    steps.py      what can happen next
    scenarios.py  where a search begins, and how much of everything it allows
    search.py     what has to hold, and the search (`programs/model/breadth_first.py`)
    drafts.py     how long a draft waits: a search of its own, through all hours of three days
    weaker.py     the rules with one left out at a time, and those that were once in use

`tests/invoice_model` walks the model and the real code side by side. docs/model.md tells what the model leaves out.
"""
