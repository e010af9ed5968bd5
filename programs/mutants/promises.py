"""The promises, and for each a change of the code that breaks it with the tests that have to fail then."""

from __future__ import annotations

from dataclasses import dataclass

LAYER = "layers/billing/billing"
DELIVERY, LEDGER = f"{LAYER}/webhooks/delivery.py", f"{LAYER}/webhooks/ledger.py"
DECISION, REFRESH, METER_ERRORS = (f"{LAYER}/webhooks/{name}.py" for name in ("decision", "refresh", "meter_errors"))
SIGNATURES, METER_EVENTS = f"{LAYER}/stripe_gateway/signatures.py", f"{LAYER}/stripe_gateway/meter_events.py"
STRIPE_SECRETS = f"{LAYER}/stripe_secrets.py"
WEBHOOK, TELEMETRY = "functions/stripe_webhook/app.py", f"{LAYER}/telemetry.py"
PLAN, WRITES, RUN = f"{LAYER}/metering/plan.py", f"{LAYER}/metering/writes.py", f"{LAYER}/metering/run.py"
SENDING, INVOCATION = f"{LAYER}/metering/sending.py", f"{LAYER}/metering/invocation.py"
FAN_OUT, QUEUES = f"{LAYER}/metering/fan_out.py", f"{LAYER}/queues.py"
USAGE, COMPARISON = f"{LAYER}/tables/usage.py", f"{LAYER}/reconciliation/comparison.py"

ORDER, RACES, CRASHES, FETCHES, LINKING = (
    f"tests/webhooks/test_{name}.py" for name in ("order", "races", "crashes", "fetches", "linking")
)
INPUT, LOG, REPORTS, EVENTS, DECISIONS = (
    f"tests/webhooks/test_{name}.py" for name in ("input", "log", "meter_errors", "events", "decision")
)
EXPLORATION, PROTOCOL = "tests/metering/test_exploration.py", "tests/metering/test_protocol.py"
STREAM, ISOLATION = "tests/metering/test_sending.py", "tests/metering/test_isolation.py"
WORKERS, METRICS = "tests/metering/test_fan_out.py", "tests/metering/test_metrics.py"
RECONCILIATION, FLOW, PLANNED = (
    "tests/metering/test_reconciliation.py",
    "tests/metering/test_flow.py",
    "tests/metering/test_plan.py",
)
INTERLEAVINGS = "tests/metering/test_interleavings.py"
ONE_FAULT = f"{EXPLORATION} -k any_call_fails"


@dataclass(frozen=True, slots=True)
class Mutant:
    """Break a promise: in a file, `code` (there once) becomes `broken`; `tests`, as pytest takes them, have to fail."""

    promise: str
    file: str
    code: str
    broken: str
    tests: str


MUTANTS = (
    # ---------------------------------------------------------------------------------------------------- webhook
    Mutant(
        "an event has one effect, however often it is delivered",
        LEDGER,
        "transaction.save(event_record, condition=is_first_delivery)",
        "transaction.save(event_record)",
        f"{RACES} -k read_misses",
    ),
    Mutant(
        "no effect without a record",
        LEDGER,
        "transaction.save(event_record, condition=is_first_delivery)",
        "pass",
        f"{ORDER} -k recorded_with_its_outcome",
    ),
    Mutant(
        "no write of what was fetched before another write",
        LEDGER,
        "    is_unwritten = SubscriptionRecord.version == before.version\n",
        "    is_unwritten = SubscriptionRecord.version.exists()\n",
        f"{RACES} -k overtaken",
    ),
    Mutant(
        "every fetch raises the version, also one that found nothing new",
        DELIVERY,
        "    if not ledger.write(event_record, organization_id, record, fetched, now):",
        "    if record is not None and is_reflected(record, fetched):\n"
        '        return _Refreshed(_record(event, "processed", organization_id), is_finished=True)\n'
        "    if not ledger.write(event_record, organization_id, record, fetched, now):",
        f"{RACES} -k left_again",
    ),
    Mutant(
        "what differs from the record is written, be it there already or not",
        DECISION,
        "if getattr(before, name, None) != value}",
        "if getattr(before, name, None) is None}",
        f"{ORDER} -k two_changes_in_one_second-snapshot-metadata",
    ),
    Mutant(
        "the record follows the newest living subscription",
        DECISION,
        "        return living, subscription.created, subscription.subscription_id",
        "        return 0, -subscription.created, subscription.subscription_id",
        f"{ORDER} -k late_end_of_a_first",
    ),
    Mutant(
        "the earlier customers of an organisation are asked for as well",
        REFRESH,
        "customer_ids |= {*(record.customer_ids or ()), record.stripe_customer_id}",
        "customer_ids |= set()",
        f"{ORDER} -k returns_to_an_earlier",
    ),
    Mutant(
        "an event is covered by a fetch of a minute later only",
        DECISION,
        "record.fetched_at - CLOCK_TOLERANCE >=",
        "record.fetched_at + CLOCK_TOLERANCE >=",
        f"{ORDER} -k two_changes_in_one_second-snapshot-metadata",
    ),
    Mutant(
        "an old event costs no call to Stripe",
        DECISION,
        "return event.created is not None and record",
        "return False and event.created is not None and record",
        f"{FETCHES} -k a_minute_older",
    ),
    Mutant(
        "events that come together share a fetch",
        LEDGER,
        "    if record is None or record.version is None:\n        return True\n",
        "    return True\n",
        f"{RACES} -k far_fewer",
    ),
    Mutant(
        "the claim of a delivery that died expires",
        LEDGER,
        "CLAIM_SECONDS = 3.0",
        "CLAIM_SECONDS = 30.0",
        f"{FETCHES} -k claim_of_a_delivery_that_died",
    ),
    Mutant(
        "a link that died is finished by whoever comes next",
        DECISION,
        "if record is not None and record.rearm_from is not None:",
        "if False:",
        f"{CRASHES} -k link",
    ),
    Mutant(
        "a stale read of a recorded event does not hide a link that died",
        LEDGER,
        '{"organization_id": {"S": organization_id}}],\n                "ConsistentRead": True,',
        '{"organization_id": {"S": organization_id}}],\n                "ConsistentRead": False,',
        f"{LINKING} -k stale_read",
    ),
    Mutant(
        "a duplicate thin event finishes the link of the delivery that died",
        DELIVERY,
        "if earlier is not None and earlier.organization_id is None:",
        "if earlier is not None:",
        f"{CRASHES} -k 'crashes_before_or_after and FirstThinEvent'",
    ),
    Mutant(
        "a second link does not forget the hours of the first",
        DECISION,
        "return since if before is None or before.rearm_from is None else min(since, before.rearm_from)",
        "return since",
        DECISIONS,
    ),
    Mutant(
        "the hours of an ended subscription become due with the link that comes late",
        DECISION,
        "since = hour_of(min(subscription.started_at for subscription in fetched.all_subscriptions))",
        "since = hour_of(fetched.subscription.started_at)",
        DECISIONS,
    ),
    Mutant(
        "Stripe is asked once more when a customer was linked",
        DELIVERY,
        "    fetched = fetch(gateway, record.organization_id, None, record)\n    if fetched is not None and",
        "    fetched = None\n    if fetched is not None and",
        f"{LINKING} -k index_lags",
    ),
    Mutant(
        "the first organisation keeps its customer",
        DELIVERY,
        "return bool(set(organizations_with_customer(pointer.customer_id)) - {organization_id})",
        "return False",
        f"{ORDER} -k first_organisation_keeps",
    ),
    Mutant(
        "the hours refused since a subscription began become due with it",
        DELIVERY,
        "            make_refused_due(hour)\n",
        "            pass\n",
        f"{FLOW} -k once_it_subscribes",
    ),
    Mutant(
        "only what Stripe signed is read",
        SIGNATURES,
        "            continue\n        return True\n",
        "            return True\n        return True\n",
        f"{INPUT} -k did_not_sign",
    ),
    Mutant(
        "a flood of bad signatures asks for the secret once a minute",
        STRIPE_SECRETS,
        "SECRET_REFRESH_SECONDS = 60",
        "SECRET_REFRESH_SECONDS = -1",
        f"{EVENTS} -k rotated_secret",
    ),
    Mutant(
        "a rotated secret is looked for at once",
        STRIPE_SECRETS,
        "        self._secrets = None\n        return self.current()",
        "        return None",
        f"{EVENTS} -k rotated_secret",
    ),
    Mutant(
        "a defect is a 500, never a 200",
        WEBHOOK,
        "log, status = logger.error, 500",
        "log, status = logger.error, 200",
        f"{LOG} -k a_defect_is_a_500",
    ),
    Mutant(
        "what a library's error quotes is not logged",
        TELEMETRY,
        "str(error) if isinstance(error, BillingError) else None",
        "str(error)",
        f"{LOG} -k a_defect_is_a_500",
    ),
    Mutant(
        "an error report marks no total that was corrected since",
        METER_ERRORS,
        "        if not _is_newest(total, hour):",
        "        if False:",
        f"{REPORTS} -k corrected_since",
    ),
    Mutant(
        "an error report has the rest of its meter compared",
        METER_ERRORS,
        "    request_comparison(None if event.event_type == NO_METER_FOUND else meter_id)\n",
        "",
        f"{REPORTS} -k compared",
    ),
    # --------------------------------------------------------------------------------------------------- metering
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
        "            elif refusal is not None and declaration.others_until:\n",
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
        "if hour.sending is not None or not refusal.is_certain",
        "if False",
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
        "    customer_id = hour.reported_to\n",
        "    customer_id = None\n",
        ONE_FAULT,
    ),
    Mutant(
        "an hour after the subscription's end is not sent",
        PLAN,
        "if link.ended_at is not None and link.ended_at <= start:",
        "if False:",
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
        f"{STREAM} -k culprits_are_alone",
    ),
    Mutant(
        "a failed call is made again",
        SENDING,
        "ATTEMPTS = 5",
        "ATTEMPTS = 1",
        f"{STREAM} -k attempts_wait",
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
        "        check_run_meters(gateway)\n        with",
        "        with",
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
    # --------------------------------------------------------------------------------------------- reconciliation
    Mutant(
        "an hour of which Stripe counts too little is found",
        COMPARISON,
        "                if difference:\n",
        "                if difference > 0:\n",
        f"{RECONCILIATION} -k lost_and_a_doubled",
    ),
    Mutant(
        "an hour of which Stripe counts too much is found",
        COMPARISON,
        "                if difference:\n",
        "                if difference < 0:\n",
        f"{RECONCILIATION} -k lost_and_a_doubled",
    ),
    Mutant(
        "usage that nobody here reported is found",
        COMPARISON,
        "customer_ids.add(subscription.stripe_customer_id)",
        "pass",
        f"{RECONCILIATION} -k never_reported",
    ),
    Mutant(
        "a summary that lags is no drift",
        COMPARISON,
        "and hour.reported_at <= self.now - SUMMARY_LAG",
        "",
        f"{RECONCILIATION} -k lags",
    ),
    Mutant(
        "an hour that is made due takes a revision of its own",
        USAGE,
        "            UsageRecord.revision.set(int(record.revision or 0) + 1),\n",
        "",
        PROTOCOL,
    ),
    Mutant(
        "an hour is compared at the customer it was reported to",
        COMPARISON,
        "return hour.reported_to == customer_id or",
        "return True or",
        f"{RECONCILIATION} -k customer",
    ),
)
