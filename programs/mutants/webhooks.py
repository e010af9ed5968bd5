"""What the webhook promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

DELIVERY = f"{LAYER}/webhooks/delivery.py"
CUSTOMERS = f"{LAYER}/tables/customers.py"
LEDGER = f"{LAYER}/webhooks/ledger.py"
CHOICE = f"{LAYER}/webhooks/choice.py"
LINKER = f"{LAYER}/webhooks/linking.py"
SUBSCRIPTIONS = f"{LAYER}/tables/subscriptions.py"
DECISION = f"{LAYER}/webhooks/decision.py"
REFRESH = f"{LAYER}/webhooks/refresh.py"
METER_ERRORS = f"{LAYER}/webhooks/meter_errors.py"
SIGNATURES = f"{LAYER}/stripe_gateway/signatures.py"
STRIPE_SECRETS = f"{LAYER}/stripe_secrets.py"
WEBHOOK = "functions/stripe_webhook/app.py"
TELEMETRY = f"{LAYER}/telemetry.py"
ORDER = "tests/webhooks/test_order.py"
RACES = "tests/webhooks/test_races.py"
CRASHES = "tests/webhooks/test_crashes.py"
FETCHES = "tests/webhooks/test_fetches.py"
LINKING = "tests/webhooks/test_linking.py"
INPUT = "tests/webhooks/test_input.py"
LOG = "tests/webhooks/test_log.py"
REPORTS = "tests/webhooks/test_meter_errors.py"
EVENTS = "tests/webhooks/test_events.py"
DECISIONS = "tests/webhooks/test_decision.py"
FLOW = "tests/metering/test_flow.py"

MUTANTS = (
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
        SUBSCRIPTIONS,
        "        return attribute == version\n",
        "        return attribute.exists()\n",
        f"{RACES} -k overtaken",
    ),
    Mutant(
        "every fetch raises the version, also one that found nothing new",
        DELIVERY,
        "    if not ledger.write(event_record, organization_id, record, fetched, now):",
        "    from billing.settings import grace_period\n"
        "    from billing.webhooks.decision import is_reflected\n"
        "    if record is not None and is_reflected(record, fetched, now, grace_period()):\n"
        '        return _Refreshed(_record(event, "processed", organization_id), is_finished=True)\n'
        "    if not ledger.write(event_record, organization_id, record, fetched, now):",
        f"{RACES} -k left_again",
    ),
    Mutant(
        "what differs from the record is written, be it there already or not",
        DECISION,
        "if as_it_was and getattr(before, name) == value}",
        "if as_it_was and getattr(before, name) is not None}",
        f"{ORDER} -k two_changes_in_one_second-snapshot-metadata",
    ),
    Mutant(
        "the record follows the newest of the subscriptions that bill",
        CHOICE,
        "    return bool(subscription.meters), living, subscription.created, subscription.subscription_id",
        "    return bool(subscription.meters), 0, -subscription.created, subscription.subscription_id",
        f"{ORDER} -k late_end_of_a_first",
    ),
    Mutant(
        "the earlier customers of an organisation are asked for as well",
        REFRESH,
        "    customer_ids: set[str | None] = {*customers_of(record)}\n",
        "    customer_ids: set[str | None] = set()\n",
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
        LINKER,
        "    if fetched is not None and not is_reflected(record, fetched, now, grace_period()):\n        # The loop",
        "    if False:\n        # The loop",
        f"{LINKING} -k before_its_customer_is_known",
    ),
    Mutant(
        "the first organisation keeps its customer",
        CUSTOMERS,
        "return organization_with_customer(stripe_customer_id) not in (None, organization_id)",
        "return False",
        f"{LINKING} -k keeps_its_customer",
    ),
    Mutant(
        "of two claims of a customer at the same moment one fails",
        CUSTOMERS,
        "transaction.save(record, condition=is_free | is_its_own | is_damaged)",
        "transaction.save(record)",
        f"{LINKING} -k same_moment",
    ),
    Mutant(
        "an event of a former customer finds its organisation",
        CUSTOMERS,
        "        record = CustomerRecord.get(stripe_customer_id, consistent_read=True)\n",
        "        raise CustomerRecord.DoesNotExist\n",
        f"{LINKING} -k former_customer",
    ),
    Mutant(
        "the hours refused since a subscription began become due with it",
        LINKER,
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
        "            self._secrets, self._fetched_at = self._read(), time.monotonic()\n",
        "            self._fetched_at = time.monotonic()\n",
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
        "        if hour.damaged or not _is_newest(total, hour):",
        "        if hour.damaged:",
        f"{REPORTS} -k corrected_since",
    ),
    Mutant(
        "an error report of a meter's newest total is honoured, whatever was told of the other meter since",
        METER_ERRORS,
        "return total.revision in (hour.revision, reported_under.get(total.event_name, hour.revision))",
        "return total.revision == hour.revision",
        f"{REPORTS} -k only_the_other_meter",
    ),
    Mutant(
        "an error report has the rest of its meter compared",
        METER_ERRORS,
        "    request_comparison(None if event.event_type == NO_METER_FOUND else meter_id, _reported_since(report))\n",
        "",
        f"{REPORTS} -k compared",
    ),
)
