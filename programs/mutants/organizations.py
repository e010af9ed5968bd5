"""Whose usage it is, who sells it, and what a damaged item costs: each promise with a change that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

CHOICE = f"{LAYER}/webhooks/choice.py"
DECISION = f"{LAYER}/webhooks/decision.py"
DELIVERY = f"{LAYER}/webhooks/delivery.py"
LEDGER = f"{LAYER}/webhooks/ledger.py"
LINKER = f"{LAYER}/webhooks/linking.py"
REFRESH = f"{LAYER}/webhooks/refresh.py"
EVENTS = f"{LAYER}/webhooks/events.py"
CHECKOUT_API = f"{LAYER}/api/checkout.py"
CHECKOUTS = f"{LAYER}/stripe_gateway/checkout.py"
CUSTOMERS = f"{LAYER}/stripe_gateway/customers.py"
CALLS = f"{LAYER}/stripe_gateway/calls.py"
OBJECTS = f"{LAYER}/stripe_gateway/objects.py"
STRIPE_SECRETS = f"{LAYER}/stripe_secrets.py"
TABLE = f"{LAYER}/tables/table.py"
USAGE = f"{LAYER}/tables/usage.py"
COUNTS = f"{LAYER}/tables/usage_counts.py"
RECORDING = f"{LAYER}/usage/recording.py"
READING = f"{LAYER}/usage/reading.py"
COMPARISON = f"{LAYER}/reconciliation/comparison.py"
PLAN = f"{LAYER}/metering/plan.py"

STRANGERS = "tests/webhooks/test_strangers.py"
SECRETS = "tests/webhooks/test_secrets.py"
CHOICES = "tests/webhooks/test_choice.py"
DECISIONS = "tests/webhooks/test_decision.py"
SECOND_CHECKOUT = "tests/api/test_second_checkout.py"
READ = "tests/api/test_reading.py"
DAMAGE = "tests/damage/test_damaged_items.py"
RECORDED = "tests/usage/test_recording.py"
BELONGING = "tests/metering/test_belonging.py"
BOUNDARIES = "tests/metering/test_boundaries.py"
REFRESHED = "tests/operations/test_refresh.py"

MUTANTS = (
    Mutant(
        "a buyer moves no organisation that has a customer",
        DELIVERY,
        "    is_refused = is_conflict(pointer, record, found, relinks=relinks_by_reference())\n",
        "    is_refused = False\n",
        f"{STRANGERS} -k who_names_a_subscribed",
    ),
    Mutant(
        "the buyer's word alone moves nobody who is subscribed, whatever the setting",
        CHOICE,
        "    return is_subscribed or not relinks\n",
        "    return not relinks\n",
        CHOICES,
    ),
    Mutant(
        "what the seller gave to another organisation is not fetched for the one that a buyer names",
        REFRESH,
        "        own_ids.discard(pointer.subscription_id)\n",
        "        pass\n",
        f"{STRANGERS} -k takes_nothing",
    ),
    Mutant(
        "an event of another account or mode changes nothing",
        DELIVERY,
        "    return is_of_this_mode and event.account is None\n",
        "    return True\n",
        f"{STRANGERS} -k another_account",
    ),
    Mutant(
        "what no organisation can be called names none",
        EVENTS,
        "    return organization_id if is_organization_id(organization_id) else None\n",
        "    return organization_id\n",
        "tests/webhooks/test_events.py -k cannot_be",
    ),
    Mutant(
        "a customer is the one whose metadata is the same to the letter",
        CUSTOMERS,
        'return (customer.get("metadata") or {}).get("organization_id") == organization_id',
        "return True",
        f"{SECOND_CHECKOUT} -k case",
    ),
    Mutant(
        "a checkout opens where Stripe refuses to search",
        CUSTOMERS,
        "        return None\n    return next",
        "        raise\n    return next",
        f"{SECOND_CHECKOUT} -k refuses_to_search",
    ),
    Mutant(
        "the newest checkout ends those that are open",
        CHECKOUTS,
        '            _expire(gateway, session["id"])\n',
        "            pass\n",
        f"{SECOND_CHECKOUT} -k ends_those",
    ),
    Mutant(
        "an unfinished checkout is in nobody's way",
        CHECKOUT_API,
        "if each.meters and each.has_begun]",
        "if each.meters]",
        f"{SECOND_CHECKOUT} -k has_begun",
    ),
    Mutant(
        "another product's subscription is never followed",
        CHOICE,
        "if each.meters or each.subscription_id == followed_id]",
        "if True]",
        CHOICES,
    ),
    Mutant(
        "a subscription that bills is followed before one that only lives",
        CHOICE,
        "    living = 2 if subscription.bills else 1 if subscription.is_living else 0\n",
        "    living = 1 if subscription.is_living else 0\n",
        CHOICES,
    ),
    Mutant(
        "two subscriptions that bill the same usage are told",
        DELIVERY,
        "    tell_of_double_billing(organization_id, fetched)\n",
        "",
        f"{SECOND_CHECKOUT} -k two_subscriptions",
    ),
    Mutant(
        "a checkout that was never finished sells nothing",
        CHOICE,
        "        if each.meters and each.has_begun and (",
        "        if each.meters and (",
        CHOICES,
    ),
    Mutant(
        "an hour goes to the customer of the subscription that it belongs to",
        PLAN,
        "    return _declaration(hour, totals, subscription.customer_id,",
        "    return _declaration(hour, totals, str(link and link.customer_id),",
        BELONGING,
    ),
    Mutant(
        "an hour in which a period begins is stamped from that moment",
        PLAN,
        'format_time(begins) if begins else ""',
        '""',
        BOUNDARIES,
    ),
    Mutant(
        "corrections of such an hour are stamped from the same moment",
        PLAN,
        "hour.reported_to, hour.stamped_from, now)",
        'hour.reported_to, "", now)',
        BELONGING,
    ),
    Mutant(
        "the next period is known before it comes",
        CHOICE,
        "        starts.add(following)\n",
        "        pass\n",
        CHOICES,
    ),
    Mutant(
        "the hour in which a subscription ends belongs to its last period",
        CHOICE,
        "    if following is not None and not ends_by_then:\n",
        "    if following is not None:\n",
        CHOICES,
    ),
    Mutant(
        "a price that is added makes the hours due that were refused without it",
        DECISION,
        "        or _covers_more(before, fetched)\n",
        "",
        DECISIONS,
    ),
    Mutant(
        "usage that no price bills is shown as not sold",
        READING,
        'not_sold=_not_sold(record, subscriptions) if state != "refused" else (),',
        "not_sold=(),",
        f"{READ} -k not_sold",
    ),
    Mutant(
        "an hour is shown with the billing period that it belongs to",
        READING,
        "    span = subscription.period_of(record.start) if subscription is not None else None\n",
        "    span = next(subscription.periods(), None) if subscription is not None else None\n",
        "tests/usage/test_reading.py -k begins_in_it",
    ),
    Mutant(
        "the period is that of the meters' item",
        OBJECTS,
        "for line in metered or lines if",
        "for line in reversed(lines) if not metered or line not in metered if",
        f"{SECOND_CHECKOUT} -k period",
    ),
    Mutant(
        "an attribute that cannot be read stops no query",
        TABLE,
        "                damaged.add(attribute.attr_name)\n",
        "                raise\n",
        f"{READ} -k damaged",
    ),
    Mutant(
        "a damaged record is fetched anew and written whole",
        DECISION,
        "    as_it_was = None if before is not None and before.is_damaged else before\n",
        "    as_it_was = before\n",
        f"{DAMAGE} -k damaged_record",
    ),
    Mutant(
        "an hour that no run sees is found",
        USAGE,
        "        return not is_listed or (self.start is not None and str(self.due_at) > end_of(self.window_start))\n",
        "        return False\n",
        f"{DAMAGE} -k no_run_sees",
    ),
    Mutant(
        "a count that its writer did not make due is found",
        COMPARISON,
        'if hour.is_hidden or state == "unreported" or',
        "if hour.is_hidden or",
        f"{DAMAGE} -k did_not_make_due",
    ),
    Mutant(
        "a dry run repairs nothing",
        COMPARISON,
        "        if not self.dry_run and not make_visible(hour):\n",
        "        if not make_visible(hour):\n",
        f"{DAMAGE} -k dry_run",
    ),
    Mutant(
        "a rotated API key is in use as soon as it is known",
        CALLS,
        "        if made is None or made[0] != api_key:\n",
        "        if made is None:\n",
        SECRETS,
    ),
    Mutant(
        "a key that Stripe no longer accepts is looked up at once",
        CALLS,
        "            self._secrets.refreshed()\n",
        "",
        f"{SECRETS} -k looked_up",
    ),
    Mutant(
        "good secrets stay in use until there are newer ones",
        STRIPE_SECRETS,
        "            logger.error(",
        "            self._secrets = None\n            logger.error(",
        f"{SECRETS} -k good_secrets",
    ),
    Mutant(
        "of a last meter's numbers the one with the latest moment stands",
        COUNTS,
        "{moment} <= {now} OR NOT attribute_type({moment}, :text)",
        "attribute_exists({moment})",
        f"{RECORDED} -k latest_moment",
    ),
    Mutant(
        "recording refuses a fraction",
        RECORDING,
        "    if number != whole:\n",
        "    if number < 0:\n",
        f"{RECORDED} -k refused",
    ),
    Mutant(
        "an organisation's id has one rule",
        RECORDING,
        "    check_organization_id(organization_id)\n",
        "",
        f"{RECORDED} -k no_organisation",
    ),
    Mutant(
        "usage older than Stripe takes is refused when it is recorded",
        RECORDING,
        "    if at < now - OLDEST_USAGE:\n",
        "    if False:\n",
        f"{RECORDED} -k yet_to_come",
    ),
    Mutant(
        "a refresh finishes what the record asks for",
        LINKER,
        "            finish_linking(record, gateway)\n            continue\n",
        '            return "changed"\n',
        f"{REFRESHED} -k become_due",
    ),
    Mutant(
        "a claim of a time that no clock shows is void",
        LEDGER,
        "<= now + CLOCKS_DIFFER_SECONDS:",
        "<= 10.0**200:",
        f"{DAMAGE} -k damaged_record",
    ),
)
