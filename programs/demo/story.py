"""The demo's story: a first day in which everything goes wrong, the day of the renewals, and the next invoices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from billing.clock import HOUR
from programs.demo.book import Organization
from programs.demo.first_day import FirstDay
from programs.demo.outcome import conclude, lines_of, say_lines, say_reasons
from programs.demo.passage import Passage, wrapped
from programs.demo.picture import Day, Drawing, draw
from programs.demo.product import listening
from programs.demo.reconciliation import faults_of, say_comparisons
from programs.demo.renewal_day import RenewalDay

FIRST_DAY = datetime(2026, 11, 2, tzinfo=UTC)
RENEWALS = datetime(2026, 12, 2, tzinfo=UTC)
NEXT_RENEWALS = datetime(2027, 1, 2, tzinfo=UTC)
BEGINNING = FIRST_DAY + 8 * HOUR
DAYS = (
    Day("Monday, 2 November: everything goes wrong", FIRST_DAY + 8 * HOUR, FIRST_DAY + 24 * HOUR),
    Day("Wednesday, 2 December: the periods end", RENEWALS + 6 * HOUR, RENEWALS + 21 * HOUR),
)
INTRODUCTION = (
    "Two months of billing: real temperature records, through the real handlers.",
    "Everything goes wrong that can. At the end each final invoice of the simulated",
    "Stripe is compared with what the sensors did.",
    "",
)


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


def live(passage: Passage) -> None:
    """Live through all of it, up to the night in which every invoice is final."""
    say = passage.say
    say("1. Monday, 2 November: five organisations subscribe, and everything goes wrong\n")
    FirstDay(passage, FIRST_DAY).live()
    say("\n   The days until the renewals are skipped: nothing is used in them,")
    say("   and Stripe is compared in the first nights alone\n")
    passage.skip_to(RENEWALS + 6 * HOUR)
    say("\n2. Wednesday, 2 December: the periods end\n")
    RenewalDay(passage, RENEWALS, FIRST_DAY).live()
    say("\n3. The days until the next invoices are skipped, and nothing more is used\n")
    passage.skip_to(NEXT_RENEWALS + 28 * HOUR)
    queue = passage.queue
    say("")
    say(
        wrapped(
            f"{queue.sent:,} usage events were delivered {queue.delivered:,} times, out of order and some late; "
            f"the function died over {queue.killed} batches. {queue.counted:,} were counted",
            "",
        )
    )
    delivered = ", ".join(f"{number} {outcome}" for outcome, number in passage.delivered.items())
    say(f"Webhooks delivered in all: {delivered}")


def tell_story(passage: Passage, picture: Path) -> int:
    """Live through the story, compare, and draw; return the exit code."""
    say, organizations = passage.say, list(passage.organizations.values())
    for line in INTRODUCTION:
        say(line)
    with listening(passage.stack) as product:
        live(passage)
        product.listen()
    lines = lines_of(passage.stack, organizations)
    say("\n4. What is to bill, by the demo's own book, and what final invoices bill")
    say_lines(lines, say)
    say_reasons(organizations, say)
    say_comparisons(passage)
    product.say_heard(say)
    draw(Drawing(DAYS, organizations, passage.marks, passage.narrator.drafts, lines), picture)
    return conclude(lines, faults_of(passage), say)
