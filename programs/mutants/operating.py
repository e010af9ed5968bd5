"""What `operate doctor` and the customer portal promise, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

DOCTOR = "tests/operations/test_doctor.py"

MUTANTS = (
    Mutant(
        "the portal opens with the configuration that provisioning made",
        f"{LAYER}/stripe_gateway/portal.py",
        "    if configuration is not None:\n",
        "    if False:\n",
        "tests/api/test_checkout.py -k that_provisioning_made",
    ),
    Mutant(
        "a portal that ends subscriptions at once is mended",
        "operations/provisioning/portal.py",
        '"mode": "at_period_end"}',
        '"mode": "immediately"}',
        "tests/operations/test_portal.py -k periods_end",
    ),
    Mutant(
        "a check that fails stops no other",
        "operations/doctor/checks.py",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
        f"{DOCTOR} -k may_not_look_at",
    ),
    Mutant(
        "what was not looked at is not called good",
        "operations/commands/doctor.py",
        "    if counts[Verdict.UNKNOWN]:\n",
        "    if False:\n",
        f"{DOCTOR} -k may_not_look_at",
    ),
    Mutant(
        "no message of Stripe's is printed",
        "operations/doctor/findings.py",
        "Stripe refused to show it ({error.code or 'without a code'})",
        "Stripe refused to show it ({error})",
        f"{DOCTOR} -k no_secret",
    ),
    Mutant(
        "of a refusal of the key only the permission is told",
        f"{LAYER}/stripe_gateway/calls.py",
        "check the secret{lacks}",
        "check the secret{lacks}{message}",
        "tests/stripe_gateway/test_permissions.py -k nothing_of_the_key",
    ),
)
