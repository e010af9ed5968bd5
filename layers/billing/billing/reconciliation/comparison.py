"""Compare an organisation's reported hours with what Stripe counted, and make due again what differs.

The repair is the next run: an hour with nothing reported is sent anew, under a new revision, and overwrites whatever
Stripe holds. So a comparison sends nothing, and may be repeated or die anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from billing.clock import parse_time
from billing.rate_limit import RateLimit
from billing.stripe_gateway import StripeGateway
from billing.tables.usage import UsageRecord, hours_between, make_unreported_due
from billing.telemetry import described, logger

# Stripe counts asynchronously: what was reported a moment ago may not be in its summaries yet.
SUMMARY_LAG = timedelta(hours=1)


@dataclass(slots=True)
class ComparisonSummary:
    """Say what a comparison found; `complete` is False where the time ran out before all were compared."""

    organizations: int = 0
    hours: int = 0
    drift_events: int = 0
    drift_units: float = 0
    made_due: int = 0
    failures: int = 0
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as the function answers it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compare hours from `start` up to `end` (whole UTC hours) with the meters' summaries.

    `meter_ids` has the Stripe id of each meter to compare by event name; `limit` paces the calls to Stripe; a dry run
    changes nothing.
    """

    gateway: StripeGateway
    meter_ids: Mapping[str, str]
    start: datetime
    end: datetime
    now: datetime
    limit: RateLimit
    dry_run: bool = False
    summary: ComparisonSummary = field(default_factory=ComparisonSummary)

    def compare_all(self, organization_ids: Iterable[str], may_continue: Callable[[], bool]) -> str | None:
        """Compare organisations until there are no more, or no more time; return the last one compared.

        One organisation's error is logged, counted and never stops the others.
        """
        last = None
        for organization_id in organization_ids:
            if not may_continue():
                self.summary.complete = False
                break
            try:
                self.compare(organization_id)
            except Exception as error:
                self._fail(error, organization_id)
            self.summary.organizations += 1
            last = organization_id
        return last

    def compare(self, organization_id: str) -> None:
        """Compare one organisation's hours, at the customer that each was reported to."""
        by_customer: dict[str, list[UsageRecord]] = {}
        for hour in hours_between(organization_id, self.start, self.end):
            if self._is_comparable(hour):
                by_customer.setdefault(hour.reported_to, []).append(hour)
        for customer_id, hours in by_customer.items():
            try:
                self._compare(customer_id, hours)
            except Exception as error:
                # A deleted customer's summaries are gone; those of the organisation's other customers are not.
                self._fail(error, organization_id, stripe_customer_id=customer_id)

    def _fail(self, error: Exception, organization_id: str, **named: str) -> None:
        self.summary.failures += 1
        logger.error(
            "An organisation could not be compared",
            extra={"organization_id": organization_id} | named | described(error),
        )

    def _is_comparable(self, hour: UsageRecord) -> bool:
        # Without `reported` the hour is due or refused; with `sending`, or due, a run is about to send it anyway.
        return (
            hour.reported is not None
            and hour.sending is None
            and hour.due_at is None
            and hour.reported_at <= self.now - SUMMARY_LAG
        )

    def _compare(self, customer_id: str, hours: list[UsageRecord]) -> None:
        differing: dict[str, tuple[UsageRecord, dict[str, float]]] = {}
        for event_name, meter_id in self.meter_ids.items():
            self.limit.wait(1)
            counted = self.gateway.hourly_summaries(meter_id, customer_id, self.start, self.end)
            for hour in hours:
                reported = hour.reported.as_dict().get(event_name)
                if reported is None and hour.refused:
                    # Stripe refuses this meter's total: sending it again would be refused again.
                    continue
                difference = counted.get(parse_time(hour.window_start), 0) - int(reported or 0)
                if difference:
                    differing.setdefault(hour.window_start, (hour, {}))[1][event_name] = difference
        self.summary.hours += len(hours)
        for hour, differences in differing.values():
            # An hour that a run has reported anew since it was read tells nothing.
            if self.dry_run or make_unreported_due(hour):
                self.summary.made_due += not self.dry_run
                for event_name, difference in differences.items():
                    self._note(hour, event_name, difference)

    def _note(self, hour: UsageRecord, event_name: str, difference: float) -> None:
        self.summary.drift_events += 1
        self.summary.drift_units += abs(difference)
        logger.error(
            "Stripe counted something else than was reported",
            extra={
                "organization_id": hour.organization_id,
                "window_start": hour.window_start,
                "meter": event_name,
                "difference": difference,
            },
        )
