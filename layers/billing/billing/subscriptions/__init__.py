"""What the product asks for on behalf of an organisation: the billing API's logic.

customers.py  the organisation's one Stripe customer, found or made
checkout.py   a checkout session to subscribe, a portal session to manage the subscription
usage.py      what was counted and what Stripe was told of it
requests.py   what a request may ask for: the allowed prices, hosts and times

`functions/billing_api/app.py` is the HTTP around it.
"""
