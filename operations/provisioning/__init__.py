"""The Stripe account as `operations/catalogue.toml` and the code have it; safe to run again.

catalogue.py     the file: products and prices
steps.py         what a plan is made of
sales.py         meters, products and prices against the account
portal.py        the customer portal against the account
destinations.py  the two webhook destinations against the account
account.py       all of it, in the order in which it can be made
secrets.py       where their signing secrets go
"""
