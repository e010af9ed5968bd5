"""What the searches of webhooks and of invoices print of what they found."""

from __future__ import annotations

from textwrap import fill

from programs.model.breadth_first import Found

WIDTH = 80


def report(name: str, at_once: int | None, found: Found) -> bool:
    """Print what a search found; say whether that was a state that is wrong."""
    lines = fill(name, WIDTH - 30, subsequent_indent="  ").split("\n")
    numbers = f"{'' if at_once is None else at_once:>8}{found.states:>10,}{found.seconds:>10.1f}"
    print("\n".join([*lines[:-1], f"{lines[-1]:<52}{numbers}"]), flush=True)
    if found.broken is not None:
        print(f"  breaks, in {len(found.trace)} steps: {found.broken}")
    return found.broken is not None


def words(rules: object) -> str:
    """Return the first line of what the docstring of some rules says."""
    return str(type(rules).__doc__).split("\n")[0]
