"""Months in the life of a deployed stack, in as few invocations as there is something to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from programs.rehearsal.deployment import InvocationError
from programs.rehearsal.life import Life, written

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Renewals are on the 23rd: on these days the daily comparison may find what only it finds.
DAYS_OF_COMPARISON = (24, 25)
GOOD = {"processed", "duplicate", "already_reflected", "ignored"}


class Months(Life):
    """A life that goes on by itself: webhooks as they come, runs at five past, comparisons at 03:35."""

    def go_on_until(self, moment: datetime) -> None:
        """Let time pass, with all that happens on the way."""
        while (now := self.now()) < moment:
            run, comparison = self._next(now, HOUR, minute=5), self._next(now, DAY, hour=3, minute=35)
            change = self.account.next_change_at()
            moments = [moment, *([datetime.fromtimestamp(change, UTC)] if change is not None else [])]
            if self.has_work():
                moments.append(run)
            if comparison.day in DAYS_OF_COMPARISON:
                moments.append(comparison)
            step = min(each for each in moments if each > now)
            self.go_to(step)
            self.deliver_well()
            if step == run:
                self.meter()
            if step == comparison:
                self.reconcile()

    @staticmethod
    def _next(now: datetime, period: timedelta, **at: int) -> datetime:
        moment = now.replace(second=0, microsecond=0, **at)  # type: ignore[arg-type]  # hours and minutes
        return moment if moment > now else moment + period

    def deliver_well(self) -> None:
        """Deliver what waits.

        Raises:
            InvocationError: the webhook did not take all of it.
        """
        outcomes = set(self.deliver())
        if not outcomes <= GOOD:
            raise InvocationError(f"The webhook responded {outcomes - GOOD}")

    def has_work(self) -> bool:
        """Say whether a run has anything to do, or soon: hours that are due when they end, drafts that wait."""
        is_due = any("due_at" in item for item in self.hours())
        return is_due or any("draft_shard" in item for item in self.items("PeriodsTableName"))

    # --- hours

    def hours(self) -> list[dict[str, Any]]:
        """Return the items of all hours."""
        return self.items("UsageTableName")

    def due(self) -> list[tuple[str, str]]:
        """Return the organisation and the start of each hour that has ended and is due."""
        now = written(self.now())
        return [_key(item) for item in self.hours() if "due_at" in item and item["due_at"]["S"] <= now]

    def refused(self) -> dict[tuple[str, str], str]:
        """Return the code of each refused hour."""
        return {_key(item): item["refused"]["S"].split(":")[0] for item in self.hours() if "refused" in item}

    def billable(self, organization_id: str, event_name: str) -> int:
        """Return what was counted in the hours of an organisation that are not refused."""
        refused = {hour for organization, hour in self.refused() if organization == organization_id}
        counted = self.counted(organization_id, event_name)
        return sum(number for hour, number in counted.items() if hour not in refused)

    def billed(self, organization_id: str, event_name: str) -> int:
        """Return what the final invoices bill an organisation."""
        return sum(self.account.invoices.billed(each, event_name) for each in self.customers[organization_id])

    def billed_by_period(self, organization_id: str, event_name: str) -> Sequence[int]:
        """Return what each final invoice of an organisation bills."""
        return [
            quantity
            for customer in self.customers[organization_id]
            for invoice, quantity in self.account.invoices.billed_quantities(customer, event_name).items()
            if self.account.invoices.objects[invoice]["status"] != "draft"
        ]


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["organization_id"]["S"], item["window_start"]["S"]
