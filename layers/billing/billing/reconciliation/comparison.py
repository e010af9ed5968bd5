"""Compare an organisation's reported hours with what Stripe counted, and make due again what differs.

The repair is the next run: an hour with nothing reported is sent anew, under a new revision, and overwrites whatever
this stack sent before. So a comparison sends nothing, and may be repeated or die anywhere. What somebody else sent is
overwritten too, unless it is stamped later in the hour and Stripe goes by the timestamp: that is told every day.

Usage that Stripe counts in an hour for which nothing was ever reported to that customer is drift too, but is left
alone: it may be what another system sent before this one took over. Recording a count of that hour overwrites it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from billing.clock import HOUR, format_time, hour_of, parse_time
from billing.comparison_requests import SUMMARY_LAG
from billing.errors import StripeNotFoundError
from billing.invoices.sweep import TIME_TO_COME, sweep_periods
from billing.meters import METERS
from billing.rate_limit import RateLimit
from billing.reconciliation.findings import Finding
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.summaries import hourly_summaries
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.subscriptions import SubscriptionRecord, subscriptions_of
from billing.tables.usage import (
    UsageRecord,
    hours_between,
    hours_to_look_at,
    make_unreported_due,
    make_visible,
)
from billing.telemetry import described, logger
from billing.usage.reading import state_of, totals_of
from billing.webhooks.linking import refresh_organization

METER_NAMES = frozenset(meter.event_name for meter in METERS)
# The most hours that one page of Stripe's summaries has.
LONGEST_SPAN = timedelta(hours=100)
# An hour that is found wrong later than this before Stripe takes it no more would come too late for the next run.
TIME_TO_REPAIR = 2 * HOUR
MESSAGES: Mapping[str, str] = {
    "differs": "Stripe counted something else than was reported",
    "never_reported": "Stripe counts usage that was never reported to this customer",
}


@dataclass(slots=True)
class ComparisonSummary:
    """What a comparison found.

    `repaired` hours were made due because no run would have sent them; `damaged` ones have an attribute that cannot be
    read. For `periods_asked_for` Stripe was asked for invoices. `complete` is False where the time ran out before all
    were compared.
    """

    organizations: int = 0
    hours: int = 0
    drift_events: int = 0
    drift_units: float = 0
    made_due: int = 0
    repaired: int = 0
    damaged: int = 0
    periods_asked_for: int = 0
    failures: int = 0
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as the function returns it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Span:
    """An organisation's hours from `start` up to `end`: all of them, or only some."""

    start: datetime
    end: datetime
    hours: Sequence[UsageRecord]
    has_all: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of the hours from `start` up to `end` (whole UTC hours) with the meters' summaries.

    `reported_since` adds the older hours that were reported then or later, None no older ones. `meter_ids` has the
    Stripe id of each meter to compare by event name; `limit` paces the calls to Stripe; a dry run changes nothing.
    `tell` is called with whatever is found.
    """

    gateway: StripeGateway
    meter_ids: Mapping[str, str]
    start: datetime
    end: datetime
    reported_since: datetime | None
    now: datetime
    limit: RateLimit
    dry_run: bool = False
    tell: Callable[[Finding], None] = lambda finding: None
    summary: ComparisonSummary = field(default_factory=ComparisonSummary)

    def compare_all(self, subscriptions: Iterable[SubscriptionRecord], may_continue: Callable[[], bool]) -> str | None:
        """Compare organisations until there are no more, or no more time; return the last one compared.

        One organisation's error is logged, counted and never stops the others.
        """
        last = None
        for subscription in subscriptions:
            if not may_continue():
                self.summary.complete = False
                break
            try:
                self.compare(subscription)
            except Exception as error:
                self._fail(error, subscription.organization_id)
            self.summary.organizations += 1
            last = subscription.organization_id
        return last

    def compare(self, subscription: SubscriptionRecord) -> None:
        """Compare one organisation's hours, at the customer that each was reported to, and at its present one.

        An organisation that used nothing is looked at too: what Stripe counts for it is drift as well.
        """
        organization_id = subscription.organization_id
        self._sweep(subscription)
        hours = [hour for hour in hours_between(organization_id, self.start, self.end) if self._is_intact(hour)]
        span = _Span(self.start, self.end, hours, has_all=True)
        is_subscribed = subscription.ended_at is None or subscription.ended_at > self.start
        self._compare_span(organization_id, span, {subscription.stripe_customer_id} if is_subscribed else set())
        for span in self._older_spans(organization_id):
            self._compare_span(organization_id, span, set())

    def _sweep(self, subscription: SubscriptionRecord) -> None:
        """Look at the organisation's billing periods; what is wrong with them does not stop the hours."""
        metered = subscription.metered_subscriptions
        if self.dry_run or metered is None:
            return
        organization_id = subscription.organization_id
        try:
            if any(each.is_out_of_date(self.now - TIME_TO_COME) for each in metered):
                self.limit.wait(1)
                refresh_organization(self.gateway, organization_id, ())
                metered = subscriptions_of(organization_id, consistent=True)
            asked_for = sweep_periods(organization_id, metered, self.gateway, self.now, self.limit)
            self.summary.periods_asked_for += asked_for
        except Exception as error:
            self._fail(error, organization_id, part="periods")

    def _older_spans(self, organization_id: str) -> Iterator[_Span]:
        """Yield the older hours that were reported of late, in spans that one page of summaries has."""
        oldest = hour_of(self.now - OLDEST_USAGE) + TIME_TO_REPAIR
        if self.reported_since is None or oldest >= self.start:
            return
        span: list[UsageRecord] = []
        for hour in hours_to_look_at(organization_id, oldest, self.start, self.reported_since):
            if not self._is_intact(hour) or hour.reported is None:
                continue
            if span and parse_time(hour.window_start) >= parse_time(span[0].window_start) + LONGEST_SPAN:
                yield _span_of(span)
                span = []
            span.append(hour)
        if span:
            yield _span_of(span)

    def _compare_span(self, organization_id: str, span: _Span, also_at: Set[str | None]) -> None:
        customer_ids = {hour.reported_to for hour in span.hours if self._is_comparable(hour)} | also_at
        for customer_id in sorted(filter(None, customer_ids)):
            customer_hours = [hour for hour in span.hours if _is_of_customer(hour, customer_id)]
            try:
                self._compare(organization_id, customer_id, replace(span, hours=customer_hours))
            except Exception as error:
                # A deleted customer's summaries are gone; those of the organisation's other customers are not.
                if not isinstance(error, StripeNotFoundError) or any(map(self._is_comparable, customer_hours)):
                    self._fail(error, organization_id, stripe_customer_id=customer_id)

    def _is_intact(self, hour: UsageRecord) -> bool:
        """Say whether an hour can be compared; one that no run would send is made due, a damaged one is told."""
        state = state_of(hour)
        is_uncountable = state == "damaged" and hour.start is not None and not hour.due_at and not hour.refused
        # A run refuses a count that is no number, and says so; what else is damaged it cannot write either.
        if hour.is_hidden or state == "unreported" or (is_uncountable and hour.damaged <= METER_NAMES):
            self._repair(hour)
        if state == "damaged":
            self.summary.damaged += 1
            fields = {"organization_id": hour.organization_id, "window_start": hour.window_start}
            logger.error("An hour is damaged", extra=fields | {"attributes": sorted(hour.damaged)})
            self.tell(
                Finding("damaged", hour.organization_id, hour.window_start, error=", ".join(sorted(hour.damaged)))
            )
        return state != "damaged" and not hour.is_hidden

    def _repair(self, hour: UsageRecord) -> None:
        if not self.dry_run and not make_visible(hour):
            return
        self.summary.repaired += 1
        fields = {"organization_id": hour.organization_id, "window_start": hour.window_start}
        logger.error(
            "No run would have sent this hour: whoever wrote it did not make it due as it must be", extra=fields
        )
        for event_name, total in totals_of(hour).items():
            self.tell(Finding("not_due", hour.organization_id, hour.window_start, event_name, total))

    def _fail(self, error: Exception, organization_id: str, **fields: str) -> None:
        self.summary.failures += 1
        logger.error(
            "An organisation could not be compared",
            extra={"organization_id": organization_id} | fields | described(error),
        )
        self.tell(Finding("failed", organization_id, error=f"{type(error).__name__}: {error}"))

    def _is_comparable(self, hour: UsageRecord) -> bool:
        # Without `reported` the hour is due or refused; with `sending`, or due, a run is about to send it anyway.
        return (
            hour.reported is not None
            and hour.late is None  # on no invoice to come, whatever Stripe counts
            and hour.sending is None
            and hour.due_at is None
            and hour.reported_at <= self.now - SUMMARY_LAG
        )

    def _compare(self, organization_id: str, customer_id: str, span: _Span) -> None:
        hours = [hour for hour in span.hours if self._is_comparable(hour)]
        known = {parse_time(hour.window_start) for hour in span.hours}
        differing: dict[str, tuple[UsageRecord, list[Finding]]] = {}
        for event_name, meter_id in self.meter_ids.items():
            self.limit.wait(1)
            counted = hourly_summaries(self.gateway, meter_id, customer_id, span.start, span.end)
            for start in sorted(counted.keys() - known) if span.has_all else ():
                if counted[start] and not _is_reported_now(organization_id, start, customer_id):
                    window_start, at_stripe = format_time(start), counted[start]
                    self._note(Finding("never_reported", organization_id, window_start, event_name, None, at_stripe))
            for hour in hours:
                reported = (hour.reported or {}).get(event_name)
                if reported is None and hour.refused:
                    # Stripe refuses this meter's total: sending it again would be refused again.
                    continue
                at_stripe = counted.get(parse_time(hour.window_start), 0)
                found = Finding("differs", organization_id, hour.window_start, event_name, reported or 0, at_stripe)
                difference = found.difference or 0
                if difference:
                    differing.setdefault(hour.window_start, (hour, []))[1].append(found)
        self.summary.hours += len(hours)
        for hour, differences in differing.values():
            # An hour that a run has reported anew since it was read tells nothing.
            if self.dry_run or make_unreported_due(hour):
                self.summary.made_due += not self.dry_run
                for found in differences:
                    self._note(found)

    def _note(self, found: Finding) -> None:
        difference = found.difference or 0
        self.summary.drift_events += 1
        self.summary.drift_units += abs(difference)
        fields = {"organization_id": found.organization_id, "window_start": found.window_start, "meter": found.meter}
        logger.error(MESSAGES[found.kind], extra=fields | {"difference": difference})
        self.tell(found)


def _span_of(hours: Sequence[UsageRecord]) -> _Span:
    return _Span(parse_time(hours[0].window_start), parse_time(hours[-1].window_start) + HOUR, hours, has_all=False)


def _is_of_customer(hour: UsageRecord, customer_id: str) -> bool:
    """Say whether what a customer's summaries tell of this hour is, or is about to be, what was reported."""
    return hour.reported_to == customer_id or (hour.reported_to is None and hour.due_at is not None)


def _is_reported_now(organization_id: str, start: datetime, customer_id: str) -> bool:
    """Say whether a run has first reported an hour since the hours were read."""
    return any(_is_of_customer(hour, customer_id) for hour in hours_between(organization_id, start, start + HOUR))
