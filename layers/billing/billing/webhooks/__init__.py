"""From a delivery of Stripe's to an organisation's subscription.

`delivery.py` tells the story; the other modules stand in the order in which an event meets them:

    request.py       the HTTP request: the raw body and its signature, or 400
    events.py        a genuine event, and what it points at
    refresh.py       what Stripe has now: the organisation's newest living subscription
    ledger.py        the event's record and the subscription, read and written together
    meter_errors.py  what Stripe's meters report about usage sent earlier

**The promise.** Whatever the order, the repetition or the delay of deliveries, the table ends as Stripe has it.

**Why it holds.** An event only says where to look. What is stored was fetched from Stripe after the stored record was
read, and is written only if that record's `version` is still the one read: so nothing is ever replaced by something
older. The event's record is written in the same transaction, under the condition that it has none: so there is no
effect without a record and no record without its effect, and a delivery that dies anywhere is simply delivered again.
"""
