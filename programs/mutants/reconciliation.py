"""What the comparison promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

USAGE = f"{LAYER}/tables/usage.py"
COMPARISON = f"{LAYER}/reconciliation/comparison.py"
INTERLEAVINGS = "tests/metering/test_interleavings.py"
REQUESTS = f"{LAYER}/comparison_requests.py"
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
        "{subscription.stripe_customer_id} if is_subscribed else set()",
        "set()",
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
        f"{INTERLEAVINGS} -k stripe_dropped",
    ),
    Mutant(
        "an hour is compared at the customer it was reported to",
        COMPARISON,
        "return hour.reported_to == customer_id or",
        "return True or",
        f"{RECONCILIATION} -k customer",
    ),
    Mutant(
        "an hour that was reported late is compared, however old it is",
        COMPARISON,
        "        for span in self._older_spans(organization_id):\n",
        "        for span in ():\n",
        f"{RECONCILIATION} -k reported_late",
    ),
    Mutant(
        "the comparison that a report asks for waits until Stripe has counted",
        REQUESTS,
        "not_before=now + SUMMARY_LAG",
        "not_before=now",
        f"{RECONCILIATION} -k too_young",
    ),
)
