"""From a due hour to a number on Stripe's invoice.

`run.py` tells the story; the other modules stand in the order in which an hour meets them:

    meter_check.py   are Stripe's meters what the totals need?
    hours.py         due hours, page by page, read with their counts
    plan.py          which totals to send, to which customer, or why not
    sending.py       meter events to Stripe, over v1 or the v2 stream
    hours.py         declared before the send, settled after it

**The promise.** Once runs succeed again, what Stripe counts is what was counted, whatever happened before.

**Why it holds.** Stripe counts only the most recent event of a customer, meter and hour, so what is sent is the hour's
total, and sending it again changes nothing. What could go wrong is an *older* total that reaches Stripe after a newer
one, and a total that Stripe ignores because it has seen its identifier. Both are excluded by what an hour's item says
before anything is sent for it:

    due_shard, due_at   there while the hour is due; whoever changes a count sets them
    revision            goes up with every total that differs from the one declared before
    sending             the totals that may be on their way to Stripe under this revision; an hour with them is due
    sending_since       when the last sender of these totals began
    reported_to         the customer that they go to, now and ever after
    doubt_until         till then an older total may still arrive, from a sender that was overtaken
    reported            the totals that Stripe accepted last; while there is `sending`, it may have others by now

1. *Declare*: `sending` = the totals; a new revision, unless these very totals are already being sent. Only if the hour
   is still due and nobody else has taken a revision since it was read.
2. *Send*: the identifier names the revision and the value, so a resend of the same totals is recognised by Stripe as
   the duplicate it is, and any other total has an identifier (and a later second as its timestamp) of its own.
3. *Settle*: `reported` = the totals, no longer due. Only if the counts and the revision are still those sent.

A sender that dies leaves `sending` behind, and the hour due: the next run sends the same totals again, or, where the
counts have changed, newer ones under the next revision. A sender that is merely slow finds the revision taken, so it
cannot settle; and whoever took the revision knows that an older total may still be under way: it sends, but leaves the
hour due until no function of AWS Lambda can still be alive that held it, and then sends once more under a new
revision. So a run needs no lock, and a run that crashed nothing to clean up.

The same holds for whatever else ends a send. An hour that Stripe refuses is marked `refused` under the conditions of a
settlement, and not before the last older total is out of the way. Whoever finds that Stripe lacks what is `reported`
(a comparison, an error report) makes the hour due under a revision of its own, so that no run which read it before can
settle it, and no identifier that Stripe has dropped comes again.

`tests/metering/story.py` lets every call of this fail, in every way it can.
"""
