"""From a due hour to a number on Stripe's invoice.

`run.py` tells the story; the other modules stand in the order in which an hour meets them:

    meter_check.py   are Stripe's meters what the totals need?
    due.py           which hours are due, and what their items say
    hour.py          an hour as a value
    plan.py          which totals to send, to which customer, or why not
    writes.py        declared before the send, settled after it
    sending.py       meter events to Stripe, over v1 or the v2 stream

**The promise.** Once runs succeed again, what Stripe counts is what was counted, whatever happened before.

**Why it holds.** Stripe counts only the most recent event of a customer, meter and hour, so what is sent is the hour's
total, and sending it again changes nothing. What could go wrong is an *older* total that reaches Stripe after a newer
one, and a total that Stripe ignores because it has seen its identifier. Both are excluded by what an hour's item says
before anything is sent for it:

    due_shard, due_at   there while the hour is due; whoever changes a count sets them
    version             goes up with every write of metering's, which is made only if nobody else made one meanwhile
    revision            goes up with every total that differs from the one declared before
    sending             the totals that may be on their way to Stripe under this revision; an hour with them is due
    sending_since       when the last sender of these totals began; not there once it knows that Stripe has them
    others_until        till then another sender than that one may still send
    doubt_until         till then one of those may still send *other* totals than `sending`
    reported            the totals that Stripe accepted last; while there is `sending`, it may have others by now
    reported_under      the revision under which Stripe was last told each meter's total
    reported_to         the customer that they go to, now and ever after
    history             what was `reported` before, for whoever disputes a bill; nothing is decided by it
    stamped_from        where a billing period begins in the hour: that moment, from which its events are stamped

1. *Declare*: `sending` = the totals; a new revision, unless these very totals are already being sent. Only if `version`
   is still the one that was read.
2. *Send*: the identifier names the revision and the value, so a resend of the same totals is recognised by Stripe as
   the duplicate it is, and any other total has an identifier (and a later second as its timestamp) of its own.
3. *Settle*: `reported` = the totals, no longer due. Only if the counts are still those sent, and `version` is the one
   that this sender's own declaration gave the item.

So of all senders only the one that declared last can settle: it knows of every other one, because each left its
declaration in the item that the next one read. A sender that dies leaves `sending` behind, and the hour due: the next
run sends the same totals again, or, where the counts have changed, newer ones under the next revision. A sender that is
overtaken while it lives can send until AWS Lambda ends its function: until `sending_since` plus 16 minutes. Whoever
overtakes it writes that moment into `others_until`, which only ever grows, also through a settlement. While it lies
ahead,

- a declaration of *other* totals than the overtaken ones is in doubt: an older total may arrive after it. It is sent,
  but the hour stays due, and once the moment is past the total is sent once more under a new revision. The sender says
  that it is done by removing `sending_since`: so others that follow it add nothing to the doubt;
- a declaration of the *same* totals is not in doubt, for the overtaken sender sends the very same;
- nothing is marked refused: another sender may get accepted what this one did not. The same holds for a refusal after
  an attempt without a response, which may still be on its way.

A run needs no lock, and a run that crashed nothing to clean up. Whoever finds that Stripe lacks what is `reported` (a
comparison, an error report) makes the hour due under a revision of its own: no run that read it before can declare or
settle it, and no identifier that Stripe has dropped comes again.

`programs/model` searches every interleaving of this for a hole; `tests/metering` lets every call of it fail.
"""
