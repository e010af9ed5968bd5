"""What the demo tells of invoices and of billing periods, as soon as it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import from_unix
from billing.invoices.storage import read_periods
from programs.demo.book import READINGS, SENSORS, Organization
from stripe_simulator import Simulator

WORDS = {READINGS: "readings", SENSORS: "sensors"}


def in_words(totals: Mapping[str, int]) -> str:
    """Return meters' totals as a reader says them."""
    return ", ".join(f"{totals[name]:,} {word}" for name, word in WORDS.items() if totals.get(name))


def short(invoice_id: str) -> str:
    """Return an invoice's id as the demo names it."""
    return f"{invoice_id[:8]}…"


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice that has become final, and since when it was a draft."""

    organization_id: str
    since: datetime
    until: datetime


class Narrator:
    """Tells, by `tell`, what has changed since it last looked; `drafts` are those that have become final."""

    def __init__(
        self, simulator: Simulator, organizations: Mapping[str, Organization], tell: Callable[[str], None]
    ) -> None:
        self.simulator, self.organizations, self.tell = simulator, organizations, tell
        self.drafts: list[Draft] = []
        self._told: dict[str, Any] = {}

    def _is_news(self, key: str, state: Any) -> bool:
        is_news = bool(self._told.get(key) != state)
        self._told[key] = state
        return is_news

    def tell_invoices(self) -> None:
        """Tell of drafts how long they wait, and of invoices that they are final."""
        names = {each.customer_id: name for name, each in self.organizations.items()}
        for invoice in list(self.simulator.account.invoices.objects.values()):
            invoice_id, name = invoice["id"], names[invoice["customer"]]
            if invoice["status"] == "draft":
                until = from_unix(invoice["automatically_finalizes_at"])
                is_first = invoice_id not in self._told
                if self._is_news(invoice_id, until):
                    self._tell_draft(f"{name}:", short(invoice_id), until, is_first=is_first)
            elif self._is_news(invoice_id, "final"):
                billed = {event_name: self._billed(invoice, event_name) for event_name in WORDS}
                self.tell(f"{name}: {short(invoice_id)} is final: {in_words(billed)}")
                final_at = invoice["status_transitions"]["finalized_at"]
                self.drafts.append(Draft(name, from_unix(invoice["created"]), from_unix(final_at)))

    def _tell_draft(self, name: str, invoice_id: str, until: datetime, *, is_first: bool) -> None:
        if is_first:
            self.tell(f"{name} period ends, draft {invoice_id} waits until {until:%H:%M}")
        else:
            self.tell(f"{name} hours are due, {invoice_id} waits longer: {until:%H:%M}")

    def _billed(self, invoice: Mapping[str, Any], event_name: str) -> int:
        quantities = self.simulator.account.invoices.billed_quantities(invoice["customer"], event_name)
        return quantities[invoice["id"]]

    def tell_comparison(self, periods_asked_for: int) -> None:
        """Tell of a nightly comparison how many ended periods it asked Stripe about, if not as many as the last."""
        if self._is_news("asked for", periods_asked_for) and periods_asked_for:
            self.tell(f"nightly comparison: asks Stripe for invoices of ended periods: {periods_asked_for}")

    def tell_periods(self) -> None:
        """Tell what the stack tells of a period, and why another carries what."""
        for name in self.organizations:
            for period in read_periods(name):
                key = f"{period.span.subscription_id} {period.span.starts_at}"
                if self._is_news(f"{key} told", dict(period.told)) and period.told:
                    told = "; ".join(f"{in_words(totals)} ({code})" for code, totals in period.told.items())
                    self.tell(f"{name}: on no invoice, and told: {told}")
                if self._is_news(f"{key} why", period.carried_why) and period.carried_why:
                    self.tell(f"{name}: the open period carries what was late: {'; '.join(period.carried_why)}")
