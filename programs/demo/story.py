"""The demo's story: a first day in which everything goes wrong, the day of the renewals, and the next invoices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from billing.clock import HOUR
from programs.demo.book import Organization
from programs.demo.first_day import FirstDay
from programs.demo.passage import Passage
from programs.demo.renewal_day import RenewalDay
from programs.local.stack import Stack

FIRST_DAY = datetime(2026, 11, 2, tzinfo=UTC)
RENEWALS = datetime(2026, 12, 2, tzinfo=UTC)
NEXT_RENEWALS = datetime(2027, 1, 2, tzinfo=UTC)
BEGINNING = FIRST_DAY + 8 * HOUR


def make_organizations() -> list[Organization]:
    """Return the six organisations, before any of them has subscribed."""

    def made(name: str, city: str, sensors: int, hour: int, minute: int, *, tells_once: bool = False) -> Organization:
        since = timedelta(hours=hour, minutes=minute)
        organization = Organization(name, city, sensors, FIRST_DAY + since, tells_once=tells_once)
        if name != "mission-popup":
            organization.starts = tuple(day + since for day in (FIRST_DAY, RENEWALS))
        return organization

    return [
        made("seattle-cold-store", "seattle", 12, 8, 3),
        made("fremont-greenhouse", "seattle", 8, 8, 20),
        made("pike-fish-market", "seattle", 5, 10, 30),
        made("golden-gate-labs", "sf", 20, 13, 0, tells_once=True),
        made("bay-vineyards", "sf", 8, 15, 20),
        made("mission-popup", "sf", 3, 8, 0),
    ]


class Story:
    """The story on a stack whose clock stands at `BEGINNING`; `say` prints its lines."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self.say = say
        self.passage = Passage(stack, make_organizations(), say)

    def live(self) -> None:
        """Live through all of it, up to the night in which every invoice is final."""
        self.say("1. Monday, 2 November: all subscribe, each within an hour of its own\n")
        FirstDay(self.passage, FIRST_DAY).live()
        self.say("\n   The days until the renewals are skipped: nothing is used, each night is compared\n")
        self.passage.skip_to(RENEWALS + 6 * HOUR)
        self.say("\n2. Wednesday, 2 December: the periods end\n")
        RenewalDay(self.passage, RENEWALS, FIRST_DAY).live()
        self.say("\n3. Skipped again, until what the second period bills is on invoices: 2 January\n")
        self.passage.skip_to(NEXT_RENEWALS + 28 * HOUR)
        delivered = ", ".join(f"{number} {outcome}" for outcome, number in self.passage.delivered.items())
        self.say(f"\n   Webhooks delivered in all: {delivered}")
