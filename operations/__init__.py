"""What an operator needs around the functions; no function carries it.

cli.py          the command line: `./operate --help`
session.py      what its commands share: how they show, work and end
output.py       what is printed, whole at any width
picture.py      usage drawn over time
connection.py   which stack to work on: its tables and its secret
organizations.py who there is
backlog.py      due and refused hours, looked through and put back
invoices.py      which period is to be explained; explanations.py, statement.py print it
export.py        a month of everybody's usage; export_formats.py writes it
dead_letters.py usage events that were not counted: looked through, put back
usage_files.py  files of usage, line by line
usage_import.py their events, counted, and what came of them
replay.py       Stripe's events through the webhook's own code once more
provisioning/   the Stripe account as one file has it: meters, prices, portal, webhook destinations
openapi.py      the billing API's OpenAPI document
"""
