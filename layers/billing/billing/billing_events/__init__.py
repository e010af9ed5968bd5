"""What the product hears: every change of a subscription, of access, of an hour's refusal and of a period, on a bus.

    images.py    what a stream's record shows: the item before and after, as values
    changes.py   which change is which event (pure)
    bus.py       put on the EventBridge bus, in order for each organisation
    stream.py    a batch of a stream, told

**The promise.** Each change reaches the bus at least once, an organisation's in their order, with an id that repeats
when the event does.

**Why it holds.**

1. *The table itself says that it changed.* DynamoDB writes each change of an item into the table's stream, once and in
   the item's order, within the very write: whoever made it may die right after.
2. *A batch is done only as far as the bus has taken it.* The first event that it did not take is the batch item that
   failed, and Lambda comes again with that record and all behind it. What was taken behind it comes twice.
3. *No call holds two events of an organisation*, and none is made after one that failed: so a later event of an
   organisation never arrives first.
4. *An event depends on its record alone.* The stream's own id of the record is in the event's id.
5. *What cannot be read is told, and the rest goes on.* A damaged attribute is null in the event.
6. *What fails for six hours* is named in the dead-letter queue, and an alarm tells of it long before. The way back does
   not need the stream, which forgets after a day: `operate tell` marks the items, and their streams tell what they are
   now.
"""
