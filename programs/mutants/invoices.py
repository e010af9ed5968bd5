"""What invoices promise, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

INVOICES = f"{LAYER}/invoices"
TESTS = "tests/invoices"
TABLE = f"{TESTS}/test_table.py"

MUTANTS = (
    Mutant(
        "a draft waits for the run of the hour in which its period ends",
        f"{INVOICES}/drafts.py",
        "WAITS_FOR = timedelta(minutes=90)",
        "WAITS_FOR = timedelta(minutes=3)",
        f"{TESTS}/test_drafts.py",
    ),
    Mutant(
        "a draft waits longer while hours are due",
        f"{INVOICES}/drafts.py",
        "    if not due:\n",
        "    if due:\n",
        f"{TESTS}/test_drafts.py",
    ),
    Mutant(
        "the account's own grace period is not shortened",
        f"{LAYER}/webhooks/invoices.py",
        "if is_held or finalizes_at >= until or",
        "if is_held or",
        f"{TESTS}/test_drafts.py -k grace",
    ),
    Mutant(
        "what one invoice lacks is on the next",
        f"{INVOICES}/owed.py",
        "owed if carries else 0, owing",
        "0, owing",
        f"{TABLE} -k runs_down",
    ),
    Mutant(
        "what is only to be told is not carried",
        f"{INVOICES}/owed.py",
        "owed if carries else 0, owing",
        "owed, owing",
        f"{TESTS}/test_owed.py -k told",
    ),
    Mutant(
        "nothing is carried while a period cannot be read",
        f"{INVOICES}/closing.py",
        "if any(period.is_damaged for period in periods):",
        "if not periods:",
        f"{TESTS}/test_owed.py -k cannot_be_read",
    ),
    Mutant(
        "what two are about to write at once is written by one",
        f"{INVOICES}/closing.py",
        "for key, version in others:",
        "for key, version in ():",
        f"{TESTS}/test_at_once.py -k both_carry",
    ),
    Mutant(
        "a period is counted once more when everybody can see that it is settled",
        f"{INVOICES}/closing.py",
        "if period.is_settled and (is_before or period.span.key == span.key):",
        "if period.is_settled and is_before:",
        f"{TESTS}/test_at_once.py -k is_counted",
    ),
    Mutant(
        "a final invoice never becomes a draft again",
        f"{LAYER}/periods.py",
        "    if known is not None and invoice.is_overtaken_by(known):\n",
        "    if known is not None and known.is_overtaken_by(known):\n",
        f"{TESTS}/test_at_once.py -k fetched",
    ),
    Mutant(
        "the invoices show with which period Stripe bills the hour of a boundary",
        f"{INVOICES}/boundary.py",
        'return seen.count("here") > seen.count("next")',
        "return bool(seen) and False",
        f"{TABLE} -k every_hour_around",
    ),
    Mutant(
        "what a later subscription has billed is not carried again",
        f"{INVOICES}/owed.py",
        "owed = sum(map(_owed_by, groups))",
        "owed = sum(max(0, _owed_by(group)) for group in groups)",
        f"{TESTS}/test_owed.py -k ended_subscription",
    ),
    Mutant(
        "a trial stays free, however late its usage comes",
        f"{INVOICES}/owed.py",
        "period.is_in_units and not period.span.is_trial and not _is_lost(period)",
        "period.is_in_units and not _is_lost(period)",
        f"{TABLE} -k trial",
    ),
    Mutant(
        "subscriptions at once do not make up for each other",
        f"{INVOICES}/owed.py",
        "return max(account.owed for account in group)",
        "return sum(account.owed for account in group)",
        f"{TESTS}/test_balance.py",
    ),
    Mutant(
        "what nothing carried is carried once the customer is back",
        f"{INVOICES}/sweep.py",
        "if stored is not None and is_behind(tuple(stored.values()), subscriptions, now):",
        "if stored is None:",
        f"{TESTS}/test_owed.py -k ended_subscription",
    ),
    Mutant(
        "a draft whose hours are due has them sent at once",
        f"{LAYER}/webhooks/invoices.py",
        "    if due:\n",
        "    if not due:\n",
        f"{TESTS}/test_asked_runs.py",
    ),
    Mutant(
        "a run that is asked for is no scheduled one for the alarms",
        f"{LAYER}/metering/invocation.py",
        "    _emit(summary)\n    return summary\n",
        '    _emit(summary)\n    count("runs_succeeded")\n    return summary\n',
        f"{TESTS}/test_asked_runs.py -k alarms",
    ),
    Mutant(
        "usage of a subscription that was ended at once is told",
        f"{INVOICES}/owed.py",
        'tell(period, "not_invoiced", event_name, difference)',
        'tell(period, "not_invoiced", event_name, 0)',
        f"{TABLE} -k end_at_once",
    ),
    Mutant(
        "a number holds only where that is set",
        f"{INVOICES}/holding.py",
        "if holds_active_sensors() and not ended.is_last:",
        "if not ended.is_last:",
        f"{TABLE} -k recorded_once",
    ),
    Mutant(
        "the newest number follows an older one",
        f"{LAYER}/metering/newest.py",
        "in starts.items() if start < hour_of(now) - HOUR}",
        "in starts.items() if start > now}",
        "tests/metering/test_newest.py",
    ),
    Mutant(
        "an hour that is yet to be sent makes up for it only in the same period",
        f"{LAYER}/metering/newest.py",
        "return is_the_newest and is_of_the_period\n",
        "return is_the_newest\n",
        "tests/metering/test_newest.py -k makes_up",
    ),
    Mutant(
        "a newest number of zero is a number",
        f"{LAYER}/metering/newest.py",
        "(number := hour.own_total(name)) is not None]",
        "(number := hour.own_total(name))]",
        "tests/metering/test_newest.py -k whatever",
    ),
    Mutant(
        "hours are sent oldest first",
        f"{LAYER}/metering/run.py",
        "key=lambda hour: hour.window_start)",
        "key=lambda hour: hour.organization_id)",
        "tests/metering/test_newest.py -k outage",
    ),
    Mutant(
        "hours of one organisation are sent in their order",
        f"{LAYER}/metering/outgoing.py",
        "        earlier[key] += 1\n",
        "        earlier[key] += 0\n",
        "tests/metering/test_newest.py -k round",
    ),
)
