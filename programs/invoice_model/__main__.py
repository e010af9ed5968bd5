"""Print the searches: how many states each scenario has, and what goes wrong without one of the rules.

`make model` makes the quick ones in seconds, `make model ARGS=--deep` also those that take minutes.
"""

from __future__ import annotations

import argparse
import sys
from textwrap import fill

from programs.invoice_model.drafts import WEAKER_DRAFTS, DraftRules, search_drafts
from programs.invoice_model.rules import Rules
from programs.invoice_model.scenarios import DEEP, LEFT, QUICK
from programs.invoice_model.search import search
from programs.invoice_model.weaker import WEAKER
from programs.model.breadth_first import Found

WIDTH = 80


def main() -> int:
    """Search; 1 where the rules have a hole that is not known, or where the search finds none without one of them."""
    parser = argparse.ArgumentParser(prog="python -m programs.invoice_model", description=main.__doc__)
    parser.add_argument("--deep", action="store_true", help="also the searches that take minutes")
    scenarios = (*QUICK, *DEEP) if parser.parse_args().deep else QUICK

    print(f"{'The invoices':<52}{'at once':>8}{'states':>10}{'seconds':>10}")
    holes = [_print(each.name, each.at_once, search(Rules(), each)) for each in scenarios]
    holes.append(_print("a draft waits, 72 hours at most", None, search_drafts(DraftRules())))
    print(f"\n{'One rule left out':<60}{'states':>10}{'seconds':>10}")
    found = [_print(words(type(rules).__doc__), None, search(rules, scenario)) for rules, scenario in WEAKER]
    found += [_print(words(type(rules).__doc__), None, search_drafts(rules)) for rules in WEAKER_DRAFTS]
    print(f"\n{'Known, and left':<60}{'states':>10}{'seconds':>10}")
    found += [_print(each.name, each.at_once, search(Rules(), each)) for each in LEFT]
    return 0 if all(found) and not any(holes) else 1


def words(docstring: str | None) -> str:
    """Return the first line of what a rule's docstring says."""
    return str(docstring).split("\n")[0]


def _print(name: str, at_once: int | None, found: Found) -> bool:
    """Print what a search found; say whether that was a state that is wrong."""
    lines = fill(name, WIDTH - 30, subsequent_indent="  ").split("\n")
    numbers = f"{'' if at_once is None else at_once:>8}{found.states:>10,}{found.seconds:>10.1f}"
    print("\n".join([*lines[:-1], f"{lines[-1]:<52}{numbers}"]), flush=True)
    if found.broken is not None:
        print(f"  breaks, in {len(found.trace)} steps: {found.broken}")
    return found.broken is not None


if __name__ == "__main__":
    sys.exit(main())
