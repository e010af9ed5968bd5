"""`make demo`: two billing periods of real temperature records, through the real handlers, up to the final invoices.

story.py            what happens: a first day, the day of the renewals, the next invoices
first_day.py, renewal_day.py    their incidents
usage_queue.py      the queue that usage arrives on, and what goes wrong there
passage.py          how time passes: usage, webhooks, runs, nightly comparisons
book.py             the demo's own book: what each invoice has to bill
outcome.py          the book beside Stripe's final invoices
"""
