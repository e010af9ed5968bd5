"""Run in the Lambda image, with the standard library only: start processes and say when each was ready and answered.

    python cold_start_sample.py SAMPLES PROGRAM EVENTS_FOLDER   prints {"times": [[ready_ms, answered_ms], …],
                                                                        "imports": {package: ms, …}}

A process is timed from its creation, interpreter included, on CLOCK_MONOTONIC, which all processes share. The imports
are those of starts of their own, which noting them makes slower: the smallest time of each module, without what it
imports, added up by package.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

WARM_UP = 2
STARTS_WITH_IMPORTS = 5
# https://docs.python.org/3/using/cmdline.html#cmdoption-X
IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
HANDLER = """
import json, sys, time
event = json.load(open(sys.argv[1]))
class Context:
    function_name = function_version = memory_limit_in_mb = invoked_function_arn = aws_request_id = "cold-start"
    def get_remaining_time_in_millis(self): return 900000
import app
ready = time.monotonic()
answer = app.{entry}(event, Context())
answered = time.monotonic()
assert not isinstance(answer, dict) or answer.get("statusCode", 200) < 300, answer
print("\\n" + json.dumps([ready, answered]))
"""
PROGRAMS = {
    "handler": HANDLER.format(entry="handler"),
    "worker": HANDLER.format(entry="worker"),
    "floor": """
import json, time
import botocore.session
client = botocore.session.get_session().create_client("dynamodb")
def handler(event, context): return {}
ready = time.monotonic()
handler({}, None)
print("\\n" + json.dumps([ready, time.monotonic()]))
""",
    "stripe": """
import json, time
import stripe
print("\\n" + json.dumps([time.monotonic()] * 2))
""",
    "python": """
import json, time
print("\\n" + json.dumps([time.monotonic()] * 2))
""",
}


def main() -> None:
    """Take the samples and print them."""
    samples, program, events = int(sys.argv[1]), sys.argv[2], sorted(Path(sys.argv[3]).glob("*.json"))
    taken = []
    for number in range(samples + WARM_UP):
        begun = time.monotonic()
        ran = _start(program, events[number % len(events)])
        ready, answered = json.loads(ran.stdout.splitlines()[-1])
        if number >= WARM_UP:
            taken.append([1000 * (ready - begun), 1000 * (answered - begun)])
    print(json.dumps({"times": taken, "imports": _imports(program, events[samples + WARM_UP :] or events)}))


def _start(program: str, event: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", PROGRAMS[program], str(event)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{program} failed:\n{ran.stderr}")
    return ran


def _imports(program: str, events: list[Path]) -> dict[str, float]:
    """Return the milliseconds that each top-level package's modules took."""
    fastest: dict[str, int] = {}
    for number in range(STARTS_WITH_IMPORTS):
        noted = _start(program, events[number % len(events)], "-X", "importtime").stderr
        for microseconds, module in IMPORTED.findall(noted):
            fastest[module] = min(int(microseconds), fastest.get(module, sys.maxsize))
    packages: dict[str, float] = {}
    for module, microseconds in fastest.items():
        package = "Python's own" if _is_python_s(module) else module.partition(".")[0]
        packages[package] = packages.get(package, 0) + microseconds / 1000
    return packages


def _is_python_s(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names | {"encodings", "site"}


if __name__ == "__main__":
    main()
