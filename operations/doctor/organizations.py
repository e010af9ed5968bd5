"""Organisations whose records contradict Stripe, each other or themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from billing.clock import HOUR
from billing.metered_subscriptions import MeteredSubscription
from billing.tables.customers import customers_by_organization
from billing.tables.subscriptions import subscriptions_in_segment
from operations.doctor.findings import Finding, bad, counted, good, named
from operations.doctor.place import Place


@dataclass
class Seen:
    """What the records show: how many there are, and which are not as they must be."""

    number: int = 0
    customers: dict[str, set[str]] = field(default_factory=dict)
    billed_twice: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    out_of_date: list[str] = field(default_factory=list)


def check_organizations(place: Place) -> Iterator[Finding]:
    """Read SubscriptionsTable and CustomersTable whole: an item or two for each organisation."""
    seen = Seen()
    for record in subscriptions_in_segment(None):
        seen.number += 1
        if record.stripe_customer_id:
            seen.customers.setdefault(record.stripe_customer_id, set()).add(record.organization_id)
        if record.damaged:
            seen.damaged.append(record.organization_id)
        subscriptions = record.metered_subscriptions or ()
        if meters_billed_twice(subscriptions, place.now):
            seen.billed_twice.append(record.organization_id)
        if any(each.is_out_of_date(place.now - HOUR) for each in subscriptions):
            seen.out_of_date.append(record.organization_id)
    yield from judge_organizations(seen)
    for organization_id, customer_ids in customers_by_organization().items():
        for customer_id in customer_ids:
            seen.customers.setdefault(customer_id, set()).add(organization_id)
    yield judge_conflicts(seen.customers)


def meters_billed_twice(subscriptions: Sequence[MeteredSubscription], now: datetime) -> set[str]:
    """Return the meters that two living subscriptions of an organisation sell: both bill the same usage."""
    living = [each for each in subscriptions if each.end is None or each.end > now]
    return {
        meter
        for number, each in enumerate(living)
        for other in living[number + 1 :]
        for meter in set(each.meters) & set(other.meters)
    }


def judge_organizations(seen: Seen) -> Iterator[Finding]:
    """Judge what the records show."""
    kinds = (
        ("Records", seen.damaged, "are damaged", "Fetch them anew: `operate refresh ORGANISATION`."),
        (
            "Periods known",
            seen.out_of_date,
            "began a period of which no webhook told",
            "See the lines of the deliveries; then `operate refresh ORGANISATION`.",
        ),
        (
            "One subscription a meter",
            seen.billed_twice,
            "have two subscriptions on one meter, which both bill the same usage",
            "Cancel one of them at Stripe (docs/runbook.md, subscription-conflict).",
        ),
    )
    for subject, names, meaning, advice in kinds:
        if names:
            yield bad(subject, f"{len(names)} {meaning}: {named(names)}", advice)
        else:
            yield good(subject, counted(seen.number, "organisation"))


def judge_conflicts(customers: Mapping[str, set[str]]) -> Finding:
    """Judge who has which Stripe customer: two organisations would overwrite each other's usage."""
    subject = "One organisation a customer"
    shared = [f"{customer} ({', '.join(sorted(names))})" for customer, names in customers.items() if len(names) > 1]
    if shared:
        advice = "See customer-conflict in docs/runbook.md."
        return bad(subject, f"{len(shared)} customers have several: {named(shared)}", advice)
    return good(subject, counted(len(customers), "customer"))
