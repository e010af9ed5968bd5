"""A line of the examination, and how an error becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import ClientError, NoCredentialsError
from pynamodb.exceptions import PynamoDBException

from billing.errors import BillingError, NotSetUpError, StripeKeyError, StripeRefusedError, StripeUnavailableError
from billing.tables.table import error_code

# More than so many names tell no more.
MOST_NAMED = 5


class Verdict(StrEnum):
    """What a line says. `UNKNOWN`: it could not be looked at, or there is nothing yet that would show it."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what is there, and (where it is not good) what to do next."""

    subject: str
    verdict: Verdict
    detail: str
    advice: str = ""


def good(subject: str, detail: str) -> Finding:
    """Return a line that is good."""
    return Finding(subject, Verdict.GOOD, detail)


def bad(subject: str, detail: str, advice: str) -> Finding:
    """Return a line that is bad."""
    return Finding(subject, Verdict.BAD, detail, advice)


def unknown(subject: str, detail: str, advice: str) -> Finding:
    """Return a line of which nothing is known."""
    return Finding(subject, Verdict.UNKNOWN, detail, advice)


def named(names: Iterable[str]) -> str:
    """Return names as one text, the first of them where there are many."""
    listed: Sequence[str] = sorted(names)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 message`, `2 messages`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def first_of(findings: Iterator[Finding], otherwise: Finding) -> Iterator[Finding]:
    """Yield the lines, or the other one where there is none."""
    is_empty = True
    for finding in findings:
        is_empty = False
        yield finding
    if is_empty:
        yield otherwise


def from_error(subject: str, error: Exception) -> Finding:
    """Return the line of a check that could not be finished. Nothing of what others say is told: they quote."""
    if isinstance(error, PynamoDBException):
        code = error_code(error) or type(error.cause or error).__name__
        return _from_aws(subject, code, "the table", type(error).__name__)
    if isinstance(error, ClientError):
        return _from_aws(subject, str(error.response["Error"]["Code"]), error.operation_name, type(error).__name__)
    if isinstance(error, NoCredentialsError):
        return unknown(subject, "there are no AWS credentials", "Sign in to AWS, and run it again.")
    if isinstance(error, NotSetUpError):
        return unknown(subject, "there is no Stripe key yet", "Put Stripe's key into the stack's secret first.")
    if isinstance(error, StripeKeyError):
        advice = f"Give the key {error.permission}." if error.permission else "See the line of the key."
        return unknown(subject, f"Stripe does not let the key look ({error.status})", advice)
    if isinstance(error, StripeUnavailableError):
        what = f"responded with {error.status}" if error.status else "gave no response"
        return unknown(subject, f"Stripe {what}", "See status.stripe.com, and run it again.")
    if isinstance(error, StripeRefusedError):
        return unknown(subject, f"Stripe refused to show it ({error.code or 'without a code'})", "Run it again.")
    if isinstance(error, BillingError):
        return unknown(subject, str(error), "Mend that, and run it again.")
    return unknown(subject, f"{type(error).__name__}", "Run it again; with --verbose the log says more.")


def _from_aws(subject: str, code: str, operation: str, error_type: str) -> Finding:
    if code == "ResourceNotFoundException" or code.endswith("NonExistentQueue") or code == "QueueDoesNotExist":
        missing = "it is not there" if operation != "the table" else "the table is missing"
        return bad(subject, missing, "Deploy again, or restore it (docs/runbook.md).")
    if "AccessDenied" in code or "Unauthorized" in code or "NotAuthorized" in code:
        return unknown(subject, f"your credentials may not: {operation}", "Allow it (docs/operating.md lists all).")
    return unknown(subject, f"{operation}: {code} ({error_type})", "Run it again.")
