"""What checkouts and cancellations promise, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

CANCELLATION = f"{LAYER}/api/cancellation.py"
CANCELLED = "tests/api/test_cancellation.py"
OPTIONS = f"{LAYER}/api/checkout_options.py"
OFFERED = "tests/api/test_checkout_options.py"

MUTANTS = (
    Mutant(
        "a subscription ends at once only when its usage was sent",
        CANCELLATION,
        "    if unsent:\n",
        "    if False:\n",
        f"{CANCELLED} -k before_its_usage_is_sent",
    ),
    Mutant(
        "before it ends at once a run is made",
        CANCELLATION,
        "    run_now(organization_id)\n",
        "",
        f"{CANCELLED} -k bills_the_usage_until_now",
    ),
    Mutant(
        "before it ends at once the running hour is sent",
        f"{LAYER}/metering/invocation.py",
        'event.get("running_hour") is True',
        "False",
        f"{CANCELLED} -k bills_the_usage_until_now",
    ),
    Mutant(
        "the end at once has an invoice",
        f"{LAYER}/stripe_gateway/subscriptions.py",
        '"invoice_now": True',
        '"invoice_now": False',
        f"{CANCELLED} -k bills_the_usage_until_now",
    ),
    Mutant(
        "a second click on the end at once changes nothing",
        CANCELLATION,
        "    if not subscription.is_living:\n        return subscription  # a second",
        "    if False:\n        return subscription  # a second",
        f"{CANCELLED} -k second_click",
    ),
    Mutant(
        "a lost response to the end at once is found out",
        f"{LAYER}/stripe_gateway/subscriptions.py",
        "        if ended is None or ended.is_living:\n",
        "        if True:\n",
        f"{CANCELLED} -k second_click",
    ),
    Mutant(
        "an end that somebody agreed in Stripe is not taken back",
        CANCELLATION,
        "if not subscription.cancel_at_period_end and subscription.cancel_at != subscription.current_period_end:",
        "if False:",
        f"{CANCELLED} -k somebody_agreed",
    ),
    Mutant(
        "a browser's token gives itself no trial",
        OPTIONS,
        "    if jwt_organization_claim():\n",
        "    if False:\n",
        f"{OFFERED} -k token",
    ),
    Mutant(
        "the usual trial is for the first subscription",
        OPTIONS,
        "    if was_subscribed:\n",
        "    if False:\n",
        f"{OFFERED} -k second_usual_trial",
    ),
    Mutant(
        "the address by which tax is computed is kept",
        f"{LAYER}/stripe_gateway/checkout.py",
        '        params["automatic_tax"] = {"enabled": True}\n        kept["address"] = "auto"\n',
        '        params["automatic_tax"] = {"enabled": True}\n',
        f"{OFFERED} -k each_option_alone",
    ),
)
