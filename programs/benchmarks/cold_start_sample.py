"""Run in the Lambda image, with the standard library only: start processes and say when each was ready and answered.

    python cold_start_sample.py SAMPLES PROGRAM EVENTS_FOLDER        prints [[ready_ms, answered_ms], …]

A process is timed from its creation, interpreter included, on CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

WARM_UP = 2
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
        event = str(events[number % len(events)])
        begun = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAMS[program], event], stdout=subprocess.PIPE, text=True, check=True
        )
        ready, answered = json.loads(ran.stdout.splitlines()[-1])
        if number >= WARM_UP:
            taken.append([1000 * (ready - begun), 1000 * (answered - begun)])
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
