"""Asynchronous error reports: what Stripe says later about events that the stream took with a 200.

https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors: always thin
events, with a few samples only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stripe_simulator.clock import rfc3339
from stripe_simulator.meter_events import RejectedMeterEventError
from stripe_simulator.resources import Resource, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

NO_METER = "v1.billing.meter.no_meter_found"
ERROR_REPORT = "v1.billing.meter.error_report_triggered"


@dataclass
class _Gathered:
    """The errors of one meter (or of none) since its last report."""

    since: float
    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@synchronized
class ErrorReports(Resource):
    """The refused events of the stream, gathered by meter and reported as thin events."""

    resource_name = "meter error report"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._gathered: dict[str | None, _Gathered] = {}

    def add(self, event_name: str, identifier: str | None, rejected: RejectedMeterEventError) -> None:
        """Note a refused event; `flush` follows after `Settings.error_report_delay_seconds`."""
        meter = self.account.meters.by_name.get(event_name)
        key = meter["id"] if meter else None
        now = self.account.now()
        gathered = self._gathered.get(key)
        if gathered is None:
            gathered = self._gathered[key] = _Gathered(now)
            if self.account.settings.error_report_delay_seconds > 0:
                self.account.schedule(now + self.account.settings.error_report_delay_seconds, self.flush)
        gathered.counts[rejected.code] += 1
        samples = gathered.samples.setdefault(rejected.code, [])
        if len(samples) < self.account.settings.error_report_samples:
            samples.append({"error_message": rejected.message, "request": {"identifier": identifier or ""}})

    def batch_done(self) -> None:
        """Report at once where there is no delay; the stream calls it after each batch."""
        if self._gathered and self.account.settings.error_report_delay_seconds <= 0:
            self.flush()

    def flush(self) -> None:
        """Report everything gathered, one thin event for each meter."""
        gathered, self._gathered = self._gathered, {}
        for meter_id, errors in gathered.items():
            self._report(meter_id, errors)

    def trigger(self, meter_id: str | None, code: str, identifiers: list[str], message: str = "") -> str:
        """Report errors a test makes up (None as the meter: `no_meter_found`); return the event's identifier."""
        errors = _Gathered(self.account.now(), Counter({code: len(identifiers)}))
        errors.samples[code] = [
            {"error_message": message or code, "request": {"identifier": identifier}} for identifier in identifiers
        ][: self.account.settings.error_report_samples]
        return self._report(meter_id, errors)

    def _report(self, meter_id: str | None, errors: _Gathered) -> str:
        total = sum(errors.counts.values())
        data = {
            "developer_message_summary": f"There {'is' if total == 1 else 'are'} {total} invalid event"
            f"{'' if total == 1 else 's'}",
            "reason": {
                "error_count": total,
                "error_types": [
                    {"code": code, "error_count": count, "sample_errors": errors.samples[code]}
                    for code, count in errors.counts.most_common()
                ],
            },
            "validation_start": rfc3339(errors.since),
            "validation_end": rfc3339(self.account.now()),
        }
        if meter_id is None:
            return self.account.events.emit_thin(NO_METER, None, data)
        related = {"id": meter_id, "type": "billing.meter", "url": f"/v1/billing/meters/{meter_id}"}
        return self.account.events.emit_thin(ERROR_REPORT, related, data)
