"""Print the searches: how many states each scenario has, and what goes wrong without one of the rules.

`make model` makes the quick ones in seconds, `make model ARGS=--deep` also those that take minutes.
"""

from __future__ import annotations

import argparse
import sys

from programs.model.report import report, words
from programs.webhook_model.rules import Rules
from programs.webhook_model.scenarios import DEEP, QUICK
from programs.webhook_model.search import search
from programs.webhook_model.weaker import WEAKER


def main() -> int:
    """Search; 1 where the rules have a hole, or where the search finds none without one of them."""
    parser = argparse.ArgumentParser(prog="python -m programs.webhook_model", description=main.__doc__)
    parser.add_argument("--deep", action="store_true", help="also the searches that take minutes")
    scenarios = (*QUICK, *DEEP) if parser.parse_args().deep else QUICK

    print(f"{'The webhooks: what happens at Stripe':<52}{'at once':>8}{'states':>10}{'seconds':>10}")
    holes = [report(each.name, each.at_once, search(Rules(), each)) for each in scenarios]
    print(f"\n{'One rule left out':<60}{'states':>10}{'seconds':>10}")
    found = [report(words(rules), None, search(rules, scenario)) for rules, scenario in WEAKER]
    return 0 if all(found) and not any(holes) else 1


if __name__ == "__main__":
    sys.exit(main())
