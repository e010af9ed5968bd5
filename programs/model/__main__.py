"""Print the searches: how many states each has, and how the rules that were left came to be wrong.

`make model` makes the quick ones in seconds, `make model ARGS=--deep` also those that take minutes.
"""

from __future__ import annotations

import argparse
import sys
from textwrap import fill

from programs.model.breadth_first import Found
from programs.model.invariants import EXACT_OR_DUE, invariants
from programs.model.old_rules import HOLES, OldRules
from programs.model.rules import Rules
from programs.model.search import search
from programs.model.searches import DEEP, QUICK
from programs.model.weaker_rules import WEAKER

WIDTH = 80


def main() -> int:
    """Search; 1 where the protocol has a hole, or where the search finds none in the rules that have."""
    parser = argparse.ArgumentParser(prog="python -m programs.model", description=main.__doc__)
    parser.add_argument("--deep", action="store_true", help="also the searches that take minutes")
    bounds = (*QUICK, *DEEP) if parser.parse_args().deep else QUICK

    print("In every state that can be reached:")
    for invariant in invariants():
        print(f"  {invariant.words}")
    print(f"\n{'The protocol':<52}{'states':>12}{'seconds':>10}")
    holes = [_print(each.name, search(Rules(), each)) for each in bounds]
    print(f"\n{'One rule left out':<52}{'states':>12}{'seconds':>10}")
    found = [_print(weaker.left_out, search(weaker.rules, weaker.bounds)) for weaker in WEAKER]
    print(f"\n{'The rules before an item had a version':<52}{'states':>12}{'seconds':>10}")
    found += [_print(each.name, search(OldRules(), each, (EXACT_OR_DUE,)), tells=True) for each in HOLES]
    return 0 if all(found) and not any(holes) else 1


def _print(name: str, found: Found, *, tells: bool = False) -> bool:
    """Print what a search found; say whether that was a state that is wrong."""
    print(f"{name:<52}{found.states:>12,}{found.seconds:>10.1f}", flush=True)
    if found.broken is not None:
        print(f"  breaks: {found.broken}")
    for line in found.trace if tells else ():
        print(fill(line, WIDTH, initial_indent="    ", subsequent_indent="          "))
    return found.broken is not None


if __name__ == "__main__":
    sys.exit(main())
