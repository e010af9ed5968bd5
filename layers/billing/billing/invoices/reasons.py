"""Why a period carries something: a line for each period that has a part in it, written and read again. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.clock import format_time, parse_time

LINE = re.compile(
    r"(?P<event_name>.+) from (?P<starts_at>\S+) to (?P<ends_at>\S+): (?P<counted>-?\d+) counted, "
    r"(?P<invoiced>-?\d+) on (?P<invoices>.+?)(?:; after it was final came (?P<late_hours>.+))?"
)
NO_INVOICE, NOW = "no invoice", "now"


@dataclass(frozen=True, slots=True)
class Reason:
    """What a settled period counts of a meter, and what its invoices bill; `late_hours` came after they were final."""

    event_name: str
    starts_at: datetime
    ends_at: datetime | None
    counted: int
    invoiced: int
    invoices: tuple[str, ...] = ()
    late_hours: tuple[str, ...] = ()

    @property
    def difference(self) -> int:
        """Return what its invoices lack; below zero: what they have too much."""
        return self.counted - self.invoiced

    def __str__(self) -> str:
        """Return the line that `carried_why` holds."""
        end = format_time(self.ends_at) if self.ends_at else NOW
        late = f"; after it was final came {', '.join(self.late_hours)}" if self.late_hours else ""
        return (
            f"{self.event_name} from {format_time(self.starts_at)} to {end}: {self.counted} counted, "
            f"{self.invoiced} on {', '.join(self.invoices) or NO_INVOICE}{late}"
        )


def read_reasons(lines: Iterable[str]) -> tuple[Reason, ...]:
    """Return the reasons in lines of `carried_why`; a line of another form is none."""
    return tuple(reason for line in lines if (reason := _read(line)) is not None)


def _read(line: str) -> Reason | None:
    match = LINE.fullmatch(line)
    if match is None:
        return None
    try:
        return Reason(
            match["event_name"],
            parse_time(match["starts_at"]),
            None if match["ends_at"] == NOW else parse_time(match["ends_at"]),
            int(match["counted"]),
            int(match["invoiced"]),
            () if match["invoices"] == NO_INVOICE else tuple(match["invoices"].split(", ")),
            tuple(match["late_hours"].split(", ")) if match["late_hours"] else (),
        )
    except ValueError:
        return None
