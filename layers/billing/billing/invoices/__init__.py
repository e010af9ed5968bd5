"""From a period's hours to its invoice: a draft waits for them, a final invoice is compared with them.

    drafts.py     a draft is not made final while hours of its period are due
    counting.py   what the hours of a period count
    closing.py    a period and its invoices are stored, and what follows from them is written
    owed.py       what periods owe each other, and what is only told: decided from values
    holding.py    a number of sensors that holds until another is recorded
    sweep.py      periods whose webhooks never came
    explanation.py  why a line says 360: hours, corrections and sum; differences.py in words what is left
    explaining.py   what it is made of, read; values.py the names that programs read

**The promise.** For every period and `sum` meter, after its invoice and the next are final, what was invoiced in all is
what was counted in all; and never more, but for what was corrected downwards when it was invoiced.

**Why it holds.** Nothing here adds up. What a period counts is read from its hours, what is invoiced from the lines of
its final invoices, and what is owed is the difference of the two over all settled periods. An open period carries it in
an hour of its own, as part of that hour's declared total: when that period is settled, what it carried is in its lines
and not in its count, so the difference is gone. Whoever finds that a count or an invoice has changed computes all of it
anew. What follows is written in one transaction, only if every period is as it was when it was read, those too that owe
nothing yet: so whoever read before a change writes nothing after it. A period is counted once more when everybody can
see that it is settled, for until then a run may send what nobody has counted. An hour of a settled period is counted
before it is settled, whatever Stripe has of it. An invoice that was fetched before what is known of it is not stored.
`programs/invoice_model` searches every order of this for a hole.
"""
