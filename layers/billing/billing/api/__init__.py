"""The billing API: what the product asks for on behalf of an organisation.

routes.py         the operations, each from its request to its response
models.py         requests and responses, and the rules of their fields
authorization.py  who may call, and for which organisation
problems.py       the response to each error
query.py          the query's parameters: cursors, and none that there is not
requests.py       what a request may ask for: the allowed prices, hosts and times
bodies.py         what a request's body must be before any route sees it
cancellation.py   ending a subscription, in time or at once; cancellation_routes.py has its operations
invoices.py       what is behind an organisation's invoices; invoice_models.py has its responses
checkout_options.py  what a checkout offers beside its prices: the stack's choice, and the request's
customers.py      the organisation's one Stripe customer, found or created
checkout.py       a checkout session to subscribe, a portal session to manage the subscription

Only cancellation.py, customers.py and checkout.py import stripe; the routes import them inside the operations that
need them.
"""
