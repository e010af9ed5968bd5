"""A bus that notes what it is given, compares it with the schemas of docs/events/, and fails where it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from botocore.exceptions import EndpointConnectionError

from tests.support.calls import Crash

SCHEMAS = Path(__file__).parents[2] / "docs" / "events"


@cache
def validator_of(detail_type: str) -> Any:
    """Return what compares a detail with its schema."""
    # Comes with the template's linter, without type hints.
    jsonschema = import_module("jsonschema")
    schema = json.loads((SCHEMAS / f"{detail_type}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check(detail_type: str, detail: Any) -> None:
    """Assert that an event is as its schema says."""
    problems = [f"{error.json_path}: {error.message}" for error in validator_of(detail_type).iter_errors(detail)]
    assert not problems, (detail_type, problems, detail)


Trouble = Callable[["TestBus", list[Any]], Any]


class TestBus:
    """Stands in for EventBridge's client. `troubles` are what becomes of the next calls; all others succeed."""

    __test__ = False

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.calls: list[list[str]] = []
        self.troubles: list[Trouble | None] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Entries) <= 10
        assert sum(len(json.dumps(entry, default=str)) for entry in Entries) < 256 * 1024
        trouble = self.troubles.pop(0) if self.troubles else None
        return self.take(Entries) if trouble is None else dict(trouble(self, Entries))

    def take(self, entries: list[dict[str, Any]], failing: Iterable[int] = ()) -> dict[str, Any]:
        """Take all entries but the failing ones."""
        failed = set(failing)
        taken = [entry for number, entry in enumerate(entries) if number not in failed]
        for entry in taken:
            assert entry["Source"] == "sensor-billing"
            check(entry["DetailType"], json.loads(entry["Detail"]))
        self.entries += taken
        self.calls.append([json.loads(entry["Detail"])["organization_id"] for entry in taken])
        return {
            "FailedEntryCount": len(failed),
            "Entries": [
                {"ErrorCode": "InternalFailure", "ErrorMessage": "later"} if number in failed else {"EventId": "1"}
                for number in range(len(entries))
            ],
        }

    def told(self, organization_id: str | None = None, detail_type: str | None = None) -> list[dict[str, Any]]:
        """Return the details in the order in which they came, each once: a repetition has the id of the first."""
        first: dict[str, dict[str, Any]] = {}
        for entry in self.entries:
            detail = json.loads(entry["Detail"])
            if detail_type in (None, entry["DetailType"]) and organization_id in (None, detail["organization_id"]):
                known = first.setdefault(detail["id"], detail)
                assert known == detail, "what has the same id is the same"
        return list(first.values())

    def types(self, organization_id: str) -> list[str]:
        """Return the types of an organisation's events, in the order in which they came, each once."""
        known: dict[str, str] = {}
        for entry in self.entries:
            detail = json.loads(entry["Detail"])
            if detail["organization_id"] == organization_id:
                known.setdefault(detail["id"], entry["DetailType"])
        return list(known.values())


def dies_before(bus: TestBus, entries: list[Any]) -> Any:
    raise Crash


def dies_after(bus: TestBus, entries: list[Any]) -> Any:
    bus.take(entries)
    raise Crash


def takes_nothing(bus: TestBus, entries: list[Any]) -> Any:
    raise EndpointConnectionError(endpoint_url="https://events")


def takes_without_a_response(bus: TestBus, entries: list[Any]) -> Any:
    bus.take(entries)
    raise EndpointConnectionError(endpoint_url="https://events")


def takes_every_second(bus: TestBus, entries: list[Any]) -> Any:
    return bus.take(entries, range(0, len(entries), 2))


def takes_all_but_the_last(bus: TestBus, entries: list[Any]) -> Any:
    return bus.take(entries, [len(entries) - 1])


TROUBLES: tuple[Trouble, ...] = (
    dies_before,
    dies_after,
    takes_nothing,
    takes_without_a_response,
    takes_every_second,
    takes_all_but_the_last,
)
