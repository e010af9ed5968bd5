"""What an operator needs around the functions; no function carries it.

cli.py          the command line: `python -m operations --help`
connection.py   which stack to work on: its tables and its secret
backlog.py      due and refused hours, looked through and put back
replay.py       Stripe's events through the webhook's own code once more
provisioning/   the Stripe account as one file has it: meters, prices, webhook destinations
openapi.py      the billing API's OpenAPI document
"""
