"""`make demo`: a day of real temperature records, billed through the real handlers and compared with Stripe."""
