"""What access promises, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

RULE = f"{LAYER}/access/rule.py"
DECISION = f"{LAYER}/webhooks/decision.py"
REFRESH = f"{LAYER}/webhooks/refresh.py"
STRIPE_INVOICES = f"{LAYER}/stripe_gateway/invoices.py"
WEBHOOK_INVOICES = f"{LAYER}/webhooks/invoices.py"
RULES = "tests/access/test_rule.py"
OVERDUE = "tests/access/test_overdue.py"
LIVES = "tests/access/test_lives.py"

MUTANTS = (
    Mutant("an access that ends, ends", RULE, "ended_at is not None and ended_at <= now", "False", RULES),
    Mutant(
        "an overdue payment ends access after the grace period", RULE, "if since + grace <= now:", "if False:", RULES
    ),
    Mutant(
        "nobody is locked out for a damaged record",
        RULE,
        'return Access("grace", "record_damaged")',
        'return Access("denied", "record_damaged")',
        RULES,
    ),
    Mutant(
        "nobody is locked out for a status that Stripe adds",
        RULE,
        'return Access("grace", "unknown_status", ends_at)',
        'return Access("denied", "unknown_status", ends_at)',
        RULES,
    ),
    Mutant(
        "a payment is overdue since the first invoice that nobody has paid",
        STRIPE_INVOICES,
        "            since = from_unix(due)\n",
        "            since = since or from_unix(due)\n",
        LIVES,
    ),
    Mutant(
        "a payment ends what was overdue until then",
        STRIPE_INVOICES,
        '        if item["status"] == "paid":\n            break\n',
        "",
        f"{OVERDUE} -k begins_the_days_anew",
    ),
    Mutant(
        "access follows an invoice that is voided",
        WEBHOOK_INVOICES,
        "if event.event_type == INVOICE_VOIDED and _is_past_due(organization_id):",
        "if False:",
        f"{OVERDUE} -k voided",
    ),
    Mutant(
        "access is stored with the subscription",
        DECISION,
        'return attributes | {"access": access.state, "access_reason": access.reason, "access_until": access.until}',
        "return attributes",
        "tests/webhooks/test_order.py -k checkout_alone",
    ),
)
