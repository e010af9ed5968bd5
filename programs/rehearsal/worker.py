"""A function's process, as Lambda keeps one: the deployed code with the variables that the stack gave the function.

It is started as a script with the deployed folders as PYTHONPATH, so that it can import nothing but what was deployed
(and the libraries). Each line of its standard input is a request, each line of its standard output the response:

    {"now": …, "handler": "app.handler", "event": …, "remaining_ms": …}        a function
    {"now": …, "command": ["--stack", "…", "status"]}                          the operator's command line
    {…, "dies": {"before": "BatchExecuteStatement", "nth": 2}}                 ends in the middle, without a response

`now` (Unix seconds) is what the code takes for the time.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


class Context:
    """The part of a Lambda context that the handlers use."""

    def __init__(self, remaining_ms: int) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        return self.remaining_ms


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """Carry a request out."""
    clock = importlib.import_module("billing.clock")
    vars(clock)["utc_now"] = lambda: datetime.fromtimestamp(request["now"], UTC)
    if "dies" in request:
        die_at(**request["dies"])
    if "command" in request:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            code = importlib.import_module("operations.cli").main(request["command"])
        return {"result": {"exit_code": code, "text": text.getvalue()}}
    module, _, name = request["handler"].partition(".")
    handler = getattr(importlib.import_module(module), name)
    return {"result": handler(request["event"], Context(request.get("remaining_ms", 900_000)))}


def die_at(nth: int, before: str = "", after: str = "") -> None:
    """End the process before or after its nth call of an operation of AWS."""
    from botocore.client import BaseClient

    clients: Any = BaseClient
    make_api_call, made = clients._make_api_call, 0

    def counting(client: Any, operation_name: str, arguments: Any) -> Any:
        nonlocal made
        made += operation_name in (before, after)
        if made == nth and operation_name == before:
            os._exit(1)
        response = make_api_call(client, operation_name, arguments)
        if made == nth and operation_name == after:
            os._exit(1)
        return response

    clients._make_api_call = counting


def main() -> None:
    """Respond until there are no more requests; what the code prints goes to the standard error."""
    responses, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            response = respond(json.loads(line))
        except Exception:  # the caller has to see it, and the process goes on, as Lambda's does
            response = {"error": traceback.format_exc()}
        print(json.dumps(response), file=responses, flush=True)


if __name__ == "__main__":
    main()
