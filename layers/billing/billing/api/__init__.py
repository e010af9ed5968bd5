"""The billing API: what the product asks for on behalf of an organisation.

routes.py         from a request to its response, for each operation
models.py         requests and responses, and the rules of their fields
authorization.py  who may call, and for which organisation
problems.py       a response for each error
requests.py       what a request may ask for: the allowed prices, hosts and times
customers.py      the organisation's one Stripe customer, found or made
checkout.py       a checkout session to subscribe, a portal session to manage the subscription

Only the last two need Stripe, and are imported by the operations that do.
"""
