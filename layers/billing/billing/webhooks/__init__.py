"""From a delivery of Stripe's to an organisation's subscription.

`delivery.py` tells the story; the other modules stand in the order in which an event meets them:

    request.py       the HTTP request: the raw body and its signature, or 400
    events.py        a genuine event, and what it points at
    choice.py        which of an organisation's subscriptions to follow
    decision.py      what to do next, decided from what was read, without I/O
    refresh.py       what Stripe has now: all subscriptions of the organisation's customers
    ledger.py        the event's record and the subscription, read and written together
    linking.py       what a new customer or subscription asks for: refused hours become due
    meter_errors.py  what Stripe's meters report about usage sent earlier

**The promise.** Whatever the order, the repetition or the delay of deliveries, the table ends as Stripe has it.

**Why it holds.** An event only says where to look.

1. *Nothing is replaced by something older.* What is stored was fetched from Stripe after the stored record was read,
   and is written only if that record's `version` is still the one read. So the fetch behind version 8 began after
   version 7 was written. Every fetch that an event asked for raises `version`, also where it found nothing new: else a
   slow delivery that fetched an older state could still be written over it (Stripe: A, then B, then A again).
2. *No effect without a record, no record without its effect.* The event's record is written in the same transaction,
   under the condition that it has none. A delivery that dies anywhere is simply delivered again.
3. *No fetch for an event that has nothing to tell.* Its news is in the record already where the record's fetch began a
   minute after Stripe created the event (a minute, for clocks that differ), or where it began from a newer version
   (`fetched_from`) than one that was read after the event had arrived. The second rule needs no clock.
4. *Deliveries that come together share a fetch.* Whoever is about to fetch leaves a claim on the record
   (`refreshing_since`); others wait a moment, read again, and by 3 are mostly done: of 50 events at once, the first is
   fetched for, then one of the others for all of them. A claim is a hint that expires: 1 and 2 hold without it.
5. *A link is finished by whoever comes next.* The write that makes a customer known sets `rearm_from`. As long as it is
   there, no delivery of the organisation's own events ends before Stripe was asked once more (an event that came too
   early found no organisation) and the hours that were refused for want of the customer are due. A duplicate is no
   exception, for Stripe repeats nothing after its 200; so every read of the record is consistent. Removing `rearm_from`
   is part of what a write's condition looks at, for the reason given under 1.
6. *A customer has one organisation.* The same transaction puts an item for each customer that the organisation has not
   claimed yet, under the condition that nobody else has it. Whoever loses this race reads again, finds whose customer
   it is, and tells of the conflict. The item stays when the organisation has another customer, so that an event of any
   of them finds it.
7. *Nobody is moved on a buyer's word.* A payment link takes `client_reference_id` from its address. It links an
   organisation that has no customer yet; to one that has, it is told as a conflict and changes nothing. Metadata is the
   seller's word. Of an organisation's subscriptions, those that sell one of our meters come before all others, those
   that bill before those that do not, the newest first (`choice.choose`); all that sell usage are remembered
   (`metered_subscriptions`), so that metering knows which of them an hour belongs to.

`programs/webhook_model` searches every order of this for a hole; `tests/webhooks` lets every call of it fail.
"""
