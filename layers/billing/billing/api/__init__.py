"""The billing API: what the product asks for on behalf of an organisation.

customers.py  the organisation's one Stripe customer, found or made
checkout.py   a checkout session to subscribe, a portal session to manage the subscription
requests.py   what a request may ask for: the allowed prices, hosts and times

`functions/billing_api/app.py` is the HTTP around it.
"""
