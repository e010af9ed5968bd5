"""The settings: how the simulator behaves where Stripe's behaviour is not certain, or can be easier or harder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass
class Settings:
    """The behaviour of an account; every default is what is likely of Stripe. Seconds are of the simulator's clock."""

    most_recent: Literal["arrival", "timestamp"] = "arrival"
    """Which event of an hour (or day) counts on a meter with a window: the one that arrived last, or the one with the
    greatest `timestamp` (of equal ones the one that arrived last)."""
    boundary_window: Literal["timestamp", "ending_period", "beginning_period"] = "timestamp"
    """Which invoice has the usage of a meter's window (the UTC hour or day) in which one period ends and the next
    begins: each event's by its own timestamp, or all of the window with the period that ends, or that begins. The
    windows in which a subscription starts and ends are then all its first and its last period's."""
    last_across_windows: Literal["timestamp", "arrival"] = "timestamp"
    """Which window's event a `last` meter bills: that with the greatest timestamp, or that which arrived last."""
    trial_usage: Literal["shown", "left_out"] = "shown"
    """Whether a line of the invoice shows the usage of a trial, which is never charged."""
    line_quantity: Literal["units", "packages"] = "units"
    """What a line's `quantity` is where the price has `transform_quantity`."""
    identifier_window_seconds: float = 24 * 3600
    """How long a meter event's identifier is remembered; after that the same identifier is accepted again."""
    duplicate_code: str | None = None
    """The `code` of v1's 400 for a duplicate identifier: None, or for instance `duplicate_meter_event`."""
    stream_duplicates: Literal["dropped", "reported"] = "dropped"
    """Whether a duplicate on the stream is dropped in silence, or named in an error report."""
    ingestion_lag_seconds: float = 0
    """How long after its arrival a meter event shows in summaries and invoices."""
    error_report_delay_seconds: float = 0
    """How long after a refused stream event its error report comes."""
    error_report_samples: int = 3
    """How many sample errors a report has for each error type."""
    session_expired_type: str = "temporary_session_expired"
    """The `type` of the stream's 401 for an expired session. With `invalid_request_error` stripe-python raises
    AuthenticationError without a code in place of TemporarySessionExpiredError."""
    stream_in_sandbox: bool = True
    """Whether a test key may open a meter event session."""
    search_lag_seconds: float = 0
    """How long a new or changed customer is missing from search (https://docs.stripe.com/search#data-freshness)."""
    invoice_draft_seconds: int = 3600
    """How long after the end of its period an invoice stays a draft, which still takes usage."""

    draft_waits_for_webhook: bool = False
    """Whether the `invoice_draft_seconds` run from when the last endpoint accepted `invoice.created`: while one has not
    the invoice stays a draft, for 72 hours at most. A time that was set over the API does not wait."""

    def update(self, changes: dict[str, Any]) -> None:
        """Change some settings by name.

        Raises:
            ValueError: there is no setting of that name.
        """
        known = {field.name for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"No simulator setting is called {name}")
            setattr(self, name, value)
