"""What others do while a run is at work: each happens before one of the run's calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.metering.story import Story


@dataclass(frozen=True, slots=True)
class Corrected:
    """Counts are corrected."""

    by: int

    def happen(self, story: Story) -> None:
        story.correct(self.by)


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Counts are corrected by each number in turn, with a whole run of another process after each.

    `minutes` pass first; with `but_the_last` there is no run after the last correction.
    """

    corrections: tuple[int, ...]
    minutes: int = 0
    but_the_last: bool = False

    def happen(self, story: Story) -> None:
        story.stack.advance(minutes=self.minutes)
        for place, by in enumerate(self.corrections, start=1):
            story.correct(by)
            if not (self.but_the_last and place == len(self.corrections)):
                story.run()


@dataclass(frozen=True, slots=True)
class Reported:
    """Another process reports changed counts through the service."""

    corrections: tuple[int, ...]

    def happen(self, story: Story) -> None:
        for by in self.corrections:
            story.report(by)


@dataclass(frozen=True, slots=True)
class Compared:
    """Another process compares with Stripe."""

    def happen(self, story: Story) -> None:
        story.compare()


@dataclass(frozen=True, slots=True)
class Linked:
    """A webhook links a customer."""

    def happen(self, story: Story) -> None:
        story.link()


Meanwhile = Corrected | Overlapped | Reported | Compared | Linked

OVERLAPS: tuple[Meanwhile, ...] = (
    Overlapped((1,)),
    Overlapped((-1,)),
    Overlapped((1, -1)),
    Overlapped((1,), minutes=10),
    Overlapped((-1, 1), minutes=10),
    Corrected(1),
    Corrected(-1),
    Overlapped((1, 1, -2), but_the_last=True),
    Overlapped((-1, 2), but_the_last=True),
    Reported((1,)),
    Reported((-1, 1)),
)
