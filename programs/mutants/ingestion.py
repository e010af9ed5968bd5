"""What usage that arrives promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

INGESTION = f"{LAYER}/ingestion"
COUNTING, TRANSACTION = f"{INGESTION}/counting.py", f"{INGESTION}/transaction.py"
EVENTS, MESSAGES, INVOCATION = f"{INGESTION}/events.py", f"{INGESTION}/messages.py", f"{INGESTION}/invocation.py"
COUNTS, IDENTITIES = f"{LAYER}/tables/usage_counts.py", f"{LAYER}/tables/usage_events.py"
QUEUES = f"{LAYER}/queues.py"
TESTS = "tests/ingestion"

MUTANTS = (
    Mutant(
        "an event that comes again is not counted again",
        IDENTITIES,
        '                "ConditionExpression": "attribute_not_exists(event_key)",\n',
        "",
        f"{TESTS}/test_counting.py -k comes_again",
    ),
    Mutant(
        "an event's identity and its count are one write",
        COUNTING,
        "        client().transact_write_items(TransactItems=transaction)\n",
        "        for part in transaction:\n            client().transact_write_items(TransactItems=[part])\n",
        f"{TESTS}/test_exploration.py -k any_call_fails",
    ),
    Mutant(
        "an identity is kept for longer than its event can be counted",
        IDENTITIES,
        "KEPT_FOR = timedelta(days=40)",
        "KEPT_FOR = timedelta(days=35)",
        f"{TESTS}/test_events.py -k forgotten",
    ),
    Mutant(
        "no two identities have one key",
        IDENTITIES,
        'f"[{json_text(source)}, {json_text(event_id)}]"',
        'f"{source} {event_id}"',
        f"{TESTS}/test_events.py -k not_taken_for_the_id",
    ),
    Mutant(
        "another event under an identity that was counted is told",
        TRANSACTION,
        '"duplicate" if seen == event.content else "conflicting"',
        '"duplicate"',
        f"{TESTS}/test_counting.py -k told_in_order",
    ),
    Mutant(
        "another event under an identity of the same batch is told",
        COUNTING,
        '        return "duplicate" if is_same else "conflicting"\n',
        '        return "duplicate"\n',
        f"{TESTS}/test_counting.py -k told_in_order",
    ),
    Mutant(
        "an identity that its hour refused is free for another event",
        COUNTING,
        "            outcomes[position] = _repeated(found.get(key), is_same)\n",
        '            outcomes[position] = _repeated(found.get(key), is_same) or "duplicate"\n',
        f"{TESTS}/test_refusals.py -k free_for_another_event",
    ),
    Mutant(
        "usage that arrives makes its hour due",
        COUNTS,
        '["due_shard = :shard", "due_at = :end"]',
        '["due_at = :end"]',
        f"{TESTS}/test_counting.py -k which_is_due",
    ),
    Mutant(
        "of numbers that come together the latest stands",
        TRANSACTION,
        "event.time >= latest[name].time",
        "event.time <= latest[name].time",
        f"{TESTS}/test_counting.py -k microsecond",
    ),
    Mutant(
        "of numbers that come in another order the latest stands",
        COUNTS,
        "OR {moment} <= {now} OR",
        "OR {moment} >= {now} OR",
        f"{TESTS}/test_counting.py -k whatever_order",
    ),
    Mutant(
        "a number that is too late does not keep the rest of its hour",
        TRANSACTION,
        '        older |= {name for name, obstacle in found.items() if obstacle == "older"}\n',
        "",
        f"{TESTS}/test_counting.py -k whatever_order",
    ),
    Mutant(
        "a damaged hour costs its own events",
        COUNTS,
        '        if stored is not None and "N" not in stored:\n            found[name] = "damaged"\n        elif',
        "        if",
        f"{TESTS}/test_refusals.py -k damaged_hour",
    ),
    Mutant(
        "an hour's sum has 15 digits at most",
        COUNTS,
        'room: {"N": str(LARGEST_VALUE - amount)}',
        'room: {"N": str(LARGEST_VALUE)}',
        f"{TESTS}/test_refusals.py -k fits_15_digits",
    ),
    Mutant(
        "events that are too much together are counted as far as they fit",
        COUNTING,
        "        refused = too_many(hour)\n",
        "        refused: dict[str, Outcome] = {}\n",
        f"{TESTS}/test_refusals.py -k too_much_together",
    ),
    Mutant(
        "a transaction that DynamoDB cannot read costs the hour that is to blame",
        COUNTING,
        "        if len(hours) > 1 and not is_transient(error):\n",
        "        if len(hours) > 100:\n",
        f"{TESTS}/test_refusals.py -k hour_by_hour",
    ),
    Mutant(
        "a contended hour does not hold up the others",
        TRANSACTION,
        '        elif reason["Code"] != NOT_TO_BLAME:\n            is_contended = True\n',
        "        is_contended |= len(hour.events) > 0\n",
        f"{TESTS}/test_refusals.py -k tried_alone",
    ),
    Mutant(
        "a message whose events are not all done comes again",
        INVOCATION,
        "if result is None]",
        "if not arrivals]",
        f"{TESTS}/test_invocation.py -k not_begun_in_time",
    ),
    Mutant(
        "a message is not done before its dead letter is sent",
        INVOCATION,
        "    left += _send_rejected(arrivals, results, now)\n",
        "    _send_rejected(arrivals, results, now)\n",
        f"{TESTS}/test_invocation.py -k letter_could_not_be_sent",
    ),
    Mutant(
        "what is not begun in time is not begun",
        COUNTING,
        "        while hours and may_continue():\n",
        "        while hours:\n",
        f"{TESTS}/test_invocation.py -k not_begun_in_time",
    ),
    Mutant(
        "dead letters are sent in calls that SQS takes",
        QUEUES,
        " or size + bytes_ > BYTES_A_CALL",
        "",
        f"{TESTS}/test_invocation.py -k many_and_large",
    ),
    Mutant(
        "a dead letter that is put back is tried as the event it holds",
        MESSAGES,
        "    letter = as_rejected(value)\n",
        "    letter = as_rejected(None)\n",
        f"{TESTS}/test_invocation.py -k put_back",
    ),
    Mutant(
        "a body that is nested without end raises nothing",
        MESSAGES,
        "(ValueError, binascii.Error, RecursionError)",
        "(ValueError, binascii.Error)",
        f"{TESTS}/test_events.py -k garbage",
    ),
    Mutant(
        "a number that Python does not read costs its own event",
        MESSAGES,
        "if len(digits) < MOST_DIGITS else",
        "if digits else",
        f"{TESTS}/test_events.py -k more_digits_than_python",
    ),
    Mutant(
        "a list of more than a hundred is refused",
        MESSAGES,
        "        if len(value) > LARGEST_LIST:\n",
        "        if len(value) > 10 * LARGEST_LIST:\n",
        f"{TESTS}/test_events.py -k at_most_a_hundred",
    ),
    Mutant(
        "an event counts in the hour of its time, in whatever zone that is told",
        EVENTS,
        ".upper()).astimezone(UTC)",
        ".upper()).replace(tzinfo=UTC)",
        f"{TESTS}/test_events.py -k any_zone",
    ),
    Mutant(
        "usage of the future is refused",
        EVENTS,
        "    if time > now + FUTURE_USAGE:\n",
        "    if time > now + 2 * FUTURE_USAGE:\n",
        f"{TESTS}/test_events.py -k refused_with_its_code",
    ),
    Mutant(
        "usage that is too old is refused",
        EVENTS,
        "    if time < now - OLDEST_USAGE:\n",
        "    if time < now - 2 * OLDEST_USAGE:\n",
        f"{TESTS}/test_events.py -k refused_with_its_code",
    ),
    Mutant(
        "a time without a zone is refused",
        EVENTS,
        "    if match[1] is None:\n",
        '    if match[1] == "":\n',
        f"{TESTS}/test_events.py -k refused_with_its_code",
    ),
)
