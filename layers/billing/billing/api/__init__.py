"""The billing API: what the product asks for on behalf of an organisation.

routes.py         the operations, each from its request to its response
models.py         requests and responses, and the rules of their fields
authorization.py  who may call, and for which organisation
problems.py       the response to each error
requests.py       what a request may ask for: the allowed prices, hosts and times
invoices.py       what is behind an organisation's invoices; invoice_models.py has its responses
checkout_options.py  what a checkout offers beside its prices: the stack's choice, and the request's
customers.py      the organisation's one Stripe customer, found or created
checkout.py       a checkout session to subscribe, a portal session to manage the subscription

Only the last two import stripe; routes.py imports them inside the operations that need them.
"""
