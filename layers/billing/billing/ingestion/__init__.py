"""From a usage event that arrives, however often, to the hour in which it counts.

`invocation.py` tells the story; the other modules stand in the order in which an event meets them:

    messages.py      the body of a queue's message, and the values in it
    events.py        a CloudEvent as a usage event, or why it will never be counted
    counting.py      events counted in their hours, and tried again where others write the same
    transaction.py   what is written together, and what a refusal tells of each event (pure)
    rejected.py      the dead letter of an event that is not counted

**The promise.** Every usage event is counted once in the hour of its time, or it is on the dead-letter queue with its
reason.

**Why it holds.** SQS delivers a message at least once, perhaps to two functions at once, and again until one says that
it is done. So everything an event does must happen once, or not at all, however often it is tried.

1. *Identity and count are one write.* A transaction puts an item for each event's identity (`source`, `id`), under the
   condition that there is none, and adds all their values to the hour. So there is no count without its identity, and
   no identity without its count: whoever dies anywhere, and whatever response is lost, the next delivery finds out. An
   identity, unlike a transaction's token, is not forgotten after ten minutes.
2. *A refusal names the culprits.* DynamoDB cancels the whole transaction for one duplicate, and says of each part
   whether it is to blame, with the item that was there. The others are written without it. An identity that was there
   with another content is no duplicate but two events under one name: it is told, and not counted.
3. *Forgotten is too late.* An identity is kept for 40 days after it was counted. An event is refused once it is older
   than 35 days, and is counted at the earliest five minutes before its time: by then it is refused.
4. *A message is done when all of its events are.* Those that could not be counted now come again with their message,
   beside those that were, which are duplicates then. An event that will never be counted as it is has a dead letter
   before its message is done; where that cannot be sent, the message comes again. So it may have two dead letters.
5. *One event costs itself.* What a body holds raises nothing; an hour that refuses a count refuses those events alone;
   a transaction that fails otherwise is tried hour by hour.

Of a `last` meter's numbers the one with the latest time stands, as in `billing.usage.recording`, which writes with the
same update: an older one leaves its identity and changes nothing.
"""
