"""Who may use the service: one rule over an organisation's record and the time.

    rule.py      the rule, from values alone
    reading.py   the answer for one organisation: one read of one item
    ending.py    what time alone changes, told without an event of Stripe's

The answer is computed when it is asked for, so that it is right at every moment, whatever ran or did not. It is also
stored with the record (`access`, `access_reason`, `access_until`), by the same transaction as the subscription: from
there the table's stream tells that it has changed.
"""
