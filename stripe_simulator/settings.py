"""The switches where Stripe's behaviour is uncertain, or where a test wants the harder variant."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass
class Settings:
    """Hold what a test may switch; every default is what stripe-facts.md takes for likely. Seconds are simulated.

    - `most_recent`: which event of an hour window counts: the one that arrived last, or the one with the greatest
      `timestamp` (a tie goes to the later arrival).
    - `identifier_window_seconds`: how long an identifier is remembered; afterwards a resend is accepted again.
    - `duplicate_code`: the `code` in v1's answer to a duplicate identifier (None, or `duplicate_meter_event`).
    - `stream_duplicates`: a duplicate on the stream is silently dropped, or named in an error report.
    - `ingestion_lag_seconds`: how long after its arrival an event shows in summaries and invoices.
    - `error_report_delay_seconds`, `error_report_samples`: when a report comes, and how many samples per error type.
    - `session_expired_type`: `type` in the stream's 401; with `invalid_request_error` stripe-python raises
      AuthenticationError without a code instead of TemporarySessionExpiredError.
    - `stream_in_sandbox`: whether a test key may open a meter event session.
    - `search_lag_seconds`: how long a new or changed customer is missing from search
      (https://docs.stripe.com/search#data-freshness).
    - `invoice_draft_seconds`: how long after its period an invoice stays a draft that still takes usage.
    """

    most_recent: Literal["arrival", "timestamp"] = "arrival"
    identifier_window_seconds: float = 24 * 3600
    duplicate_code: str | None = None
    stream_duplicates: Literal["dropped", "reported"] = "dropped"
    ingestion_lag_seconds: float = 0
    error_report_delay_seconds: float = 0
    error_report_samples: int = 3
    session_expired_type: str = "temporary_session_expired"
    stream_in_sandbox: bool = True
    search_lag_seconds: float = 0
    invoice_draft_seconds: int = 3600

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
