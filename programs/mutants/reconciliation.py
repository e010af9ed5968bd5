"""What the comparison promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

USAGE = f"{LAYER}/tables/usage.py"
COMPARISON = f"{LAYER}/reconciliation/comparison.py"
PROTOCOL = "tests/metering/test_protocol.py"
RECONCILIATION = "tests/reconciliation"

MUTANTS = (
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
