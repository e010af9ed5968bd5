"""What metering promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

METER_EVENTS = f"{LAYER}/stripe_gateway/meter_events.py"
PLAN = f"{LAYER}/metering/plan.py"
WRITES = f"{LAYER}/metering/writes.py"
RUN = f"{LAYER}/metering/run.py"
SENDING = f"{LAYER}/metering/sending.py"
INVOCATION = f"{LAYER}/metering/invocation.py"
FAN_OUT = f"{LAYER}/metering/fan_out.py"
QUEUES = f"{LAYER}/queues.py"
EXPLORATION = "tests/metering/test_exploration.py"
STREAM = "tests/metering/test_sending.py"
ISOLATION = "tests/metering/test_isolation.py"
ATTEMPTS = "tests/metering/test_attempts.py"
WORKERS = "tests/metering/test_fan_out.py"
METRICS = "tests/metering/test_metrics.py"
FLOW = "tests/metering/test_flow.py"
PLANNED = "tests/metering/test_plan.py"
INTERLEAVINGS = "tests/metering/test_interleavings.py"
ONE_FAULT = "tests/metering/test_exploration.py -k any_call_fails"

MUTANTS = (
    Mutant(
        "a declaration needs the version that was read",
        WRITES,
        "        .after(declaration.hour.version)\n",
        '        .set("version", _number(declaration.version))\n',
        INTERLEAVINGS,
    ),
    Mutant(
        "settling needs the counts that were sent",
        WRITES,
        "            self.only_if(meter.event_name, hour.counts.get(meter.event_name))\n",
        "            pass\n",
        ONE_FAULT,
    ),
    Mutant(
        "settling needs the version of the sender's own declaration",
        WRITES,
        "        .after(declaration.version)\n        .only_with_counts_of(declaration.hour)\n",
        "        .only_with_counts_of(declaration.hour)\n",
        INTERLEAVINGS,
    ),
    Mutant(
        "who else may still send is remembered when an hour is settled",
        WRITES,
        "    if declaration.others_until <= format_time(now):\n",
        "    if True:\n",
        INTERLEAVINGS,
    ),
    Mutant(
        "who else may still send is remembered when the same totals are declared again",
        PLAN,
        '        others_until="" if _is_over(others_until, now) else others_until,\n',
        '        others_until="" if _is_over(doubt_until, now) else doubt_until,\n',
        INTERLEAVINGS,
    ),
    Mutant(
        "an hour is not refused while another sender may get it accepted",
        RUN,
        "            elif refusal is not None and (declaration.others_until or not outgoing.is_certain):\n",
        "            elif False:\n",
        INTERLEAVINGS,
    ),
    Mutant(
        "a sender in doubt says that it is done",
        WRITES,
        '.after(declaration.version).remove("sending_since").write()',
        ".after(declaration.version).write()",
        INTERLEAVINGS,
    ),
    Mutant(
        "an hour that Stripe may have taken stays with its customer when it is refused",
        WRITES,
        "    is_first_send = hour.reported_to is None\n",
        "    is_first_send = True\n",
        INTERLEAVINGS,
    ),
    Mutant(
        "other totals take a new revision",
        PLAN,
        "revision=hour.revision + 1 if is_new else hour.revision,",
        "revision=max(hour.revision, 1),",
        ONE_FAULT,
    ),
    Mutant(
        "after a send whose end is unknown every total is sent",
        PLAN,
        "known = hour.reported if hour.sending is None else {}",
        "known = hour.reported",
        PLANNED,
    ),
    Mutant(
        "an hour stays due while an older total may still arrive",
        PLAN,
        '        doubt_until="" if _is_over(doubt_until, now) else doubt_until,\n',
        '        doubt_until="",\n',
        ONE_FAULT,
    ),
    Mutant(
        "an hour is corrected at the customer it was reported to",
        PLAN,
        "    if hour.reported_to is not None:\n",
        "    if False:\n",
        ONE_FAULT,
    ),
    Mutant(
        "an hour after the subscription's end is not sent",
        PLAN,
        "    subscription = covering(link.subscriptions, start)\n",
        "    subscription = link.subscriptions[0]\n",
        f"{FLOW} -k after_the_end",
    ),
    Mutant(
        "an hour older than 35 days is refused, not sent for ever",
        PLAN,
        "if start < now - OLDEST:",
        "if False:",
        PLANNED,
    ),
    Mutant(
        "a duplicate identifier is a success",
        METER_EVENTS,
        '    return "already exists with identifier" in message and identifier in message',
        "    return False",
        f"{FLOW} -k duplicate_identifier",
    ),
    Mutant(
        "a refused batch is split until the culprit is alone",
        SENDING,
        "if not isinstance(outcome, Refusal) or len(events) == 1:",
        "if True:",
        f"{ATTEMPTS} -k culprits_are_alone",
    ),
    Mutant(
        "a failed call is made again",
        SENDING,
        "ATTEMPTS = 5",
        "ATTEMPTS = 1",
        f"{ATTEMPTS} -k attempts_wait",
    ),
    Mutant(
        "an expired session is replaced",
        METER_EVENTS,
        "            self._stream(self._open_session(expired=session), events)",
        "            raise",
        f"{STREAM} -k calls_the_old_one_expired",
    ),
    Mutant(
        "one organisation's item never stops the others",
        RUN,
        "if not is_transient(error) and len(keys) > 1:",
        "if False:",
        ISOLATION,
    ),
    Mutant(
        "a run stops before its time is over",
        RUN,
        "if not self.may_continue() or fruitless >= FRUITLESS_UNITS:",
        "if fruitless >= FRUITLESS_UNITS:",
        f"{FLOW} -k nearly_over",
    ),
    Mutant(
        "a refusal for want of a customer checks that it is still wanting",
        WRITES,
        "            transaction.condition_check(SubscriptionRecord, organization_id, condition=is_still_unlinked)\n",
        "",
        f"{EXPLORATION} -k linked",
    ),
    Mutant(
        "nothing is sent to a meter that would bill wrongly",
        INVOCATION,
        "    check_run_meters(gateway)\n    with",
        "    with",
        f"{FLOW} -k bill_wrongly",
    ),
    Mutant(
        "a run that gave up has not succeeded",
        INVOCATION,
        "if summary.failures or summary.gave_up else",
        "if summary.failures else",
        f"{METRICS} -k gave_up",
    ),
    Mutant(
        "the age of the oldest due hour is told by every run",
        INVOCATION,
        '    count("oldest_due_hour_age", age)\n',
        "",
        f"{METRICS} -k without_usage",
    ),
    Mutant(
        "a worker whose time is over hands the rest on",
        FAN_OUT,
        "        if not summary.complete:\n",
        "        if False:\n",
        f"{WORKERS} -k time_is_over",
    ),
    Mutant(
        "a queue that takes only some messages is an error",
        QUEUES,
        "    if failed:\n",
        "    if False:\n",
        f"{WORKERS} -k only_some",
    ),
)
