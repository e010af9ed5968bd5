"""What a comparison finds hour by hour: for whoever wants to know more than its summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["differs", "never_reported", "not_due", "damaged", "failed"]
# Hours of these kinds become due.
REPAIRED: frozenset[Kind] = frozenset({"differs", "not_due"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    `kind`: `differs` = Stripe counts something else than was reported; `never_reported` = Stripe counts usage that was
    never reported to this customer, which is left alone; `not_due` = no run would have sent the hour; `damaged` = an
    attribute of it cannot be read; `failed` = the organisation could not be compared, `error` says why. What does not
    apply, or is not known, is None.
    """

    kind: Kind
    organization_id: str
    window_start: str | None = None
    meter: str | None = None
    counted: float | None = None
    at_stripe: float | None = None
    error: str | None = None

    @property
    def difference(self) -> float | None:
        """Return how much more than was reported Stripe counts; None where Stripe was not asked."""
        return None if self.at_stripe is None else self.at_stripe - (self.counted or 0)
