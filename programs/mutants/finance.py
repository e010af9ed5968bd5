"""What explanations, exports and histories promise, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

EXPLANATION = f"{LAYER}/invoices/explanation.py"
EXPLAINED = "tests/invoices/test_explanation.py"

MUTANTS = (
    Mutant(
        "what Stripe had of an hour is kept when it is told something else",
        f"{LAYER}/metering/writes.py",
        "        .keeping(_replaced(declaration.hour))\n",
        "",
        "tests/metering/test_history.py -k told_something_else",
    ),
    Mutant(
        "the hour of a boundary is explained where it is billed",
        EXPLANATION,
        'return replace(hour, place="before") if start < span.starts_at and lacks_first else hour',
        "return hour",
        f"{EXPLAINED} -k boundary",
    ),
    Mutant(
        "of a last meter the newest number explains the line",
        EXPLANATION,
        "here[-1:] if event_name in LAST_METERS else here",
        "here",
        f"{EXPLAINED} -k sum_of_its_hours",
    ),
    Mutant(
        "what does not balance is not explained away",
        f"{LAYER}/invoices/differences.py",
        "if _balance(others, event_name) != on_none - too_much:",
        "if False:",
        f"{EXPLAINED} -k explained_away",
    ),
    Mutant(
        "what an hour carries is no change of its own count",
        EXPLANATION,
        "entry.totals.get(name, 0) - carried.get(name, 0)",
        "entry.totals.get(name, 0)",
        f"{EXPLAINED} -k no_change",
    ),
    Mutant(
        "a customer's page runs nothing that an id contains",
        "operations/statement.py",
        "{escape(explanation.organization_id)}",
        "{explanation.organization_id}",
        "tests/operations/test_statement.py -k runs_nothing",
    ),
    Mutant(
        "an interrupted export leaves no half file",
        "operations/export_formats.py",
        "part.unlink(missing_ok=True)",
        "pass",
        "tests/operations/test_export_command.py -k half_file",
    ),
    Mutant(
        "an export holds a few organisations at a time",
        "operations/export.py",
        "if len(waiting) >= AT_ONCE:",
        "if False:",
        "tests/operations/test_export_command.py -k memory",
    ),
)
