"""`operate export`: a month of everybody's usage, in three formats, in a stream."""

from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from billing.clock import HOUR, format_time, parse_time
from billing.errors import StripeUnavailableError
from billing.tables.usage import UsageRecord
from operations import export as export_module
from operations.export import COLUMNS, month_of, rows_of
from tests.invoices.lives import BEGIN, MONTH_1, READINGS, SENSORS, Life
from tests.support.due_hours import due_hour, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack
    from tests.operations.conftest import Operate

NOVEMBER = ["export", "--month", "2026-11"]


@pytest.fixture
def month(stack: Stack) -> Stack:
    """Let one organisation be billed for November and December, and others have usage in November alone."""
    life = Life(stack, BEGIN, "acme")
    life.count(360, BEGIN)
    life.sensors(5, BEGIN)
    life.go_to(BEGIN + 5 * HOUR)
    life.count(7, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(500, BEGIN + 30 * HOUR)
    life.count(1, MONTH_1 + HOUR)
    life.go_to(MONTH_1 + 9 * HOUR)
    stack.subscribe("globex")
    stack.deliver_all()
    UsageRecord("globex", "2026-11-30T23:00:00Z", temperature_readings=9, refused="too_old: x").save()
    UsageRecord("nobody", "2026-11-01T00:00:00Z", temperature_readings=3).save()
    return stack


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(row["organization_id"], row["window_start"], row["meter"]): row for row in rows}


def test_each_row_says_what_became_of_a_meters_hour(month: Stack, operate: Operate) -> None:
    rows = [json.loads(line) for line in operate(*NOVEMBER, "--format", "jsonl").out.splitlines()]

    assert {tuple(row) for row in rows} == {tuple(column.name for column in COLUMNS)}
    found = by_key(rows)
    first, late = format_time(BEGIN), format_time(BEGIN + 30 * HOUR)
    assert set(found) == {
        ("acme", first, SENSORS),
        ("acme", first, READINGS),
        ("acme", late, READINGS),
        ("globex", "2026-11-30T23:00:00Z", READINGS),
    }
    row = found["acme", first, READINGS]
    assert (row["counted"], row["reported"], row["carried"], row["state"]) == (367, 367, 0, "reported")
    assert (row["corrections"], row["unchanged_since"]) == (1, "2026-11-23T15:05:00Z")
    assert (row["period_starts_at"], row["period_state"]) == (first, "closed")
    assert row["invoice_ids"].startswith("in_")
    assert row["stripe_customer_id"].startswith("cus_")
    assert (found["acme", late, READINGS]["state"], found["acme", late, READINGS]["reported"]) == ("late", None)
    refused = found["globex", "2026-11-30T23:00:00Z", READINGS]
    assert (refused["state"], refused["reason"], refused["period_starts_at"]) == ("refused", "too_old: x", None)


def test_what_was_carried_is_in_the_month_of_its_hour(month: Stack, operate: Operate) -> None:
    out = operate("export", "--month", "2026-12", "--format", "jsonl").out
    carried = [row for row in map(json.loads, out.splitlines()) if row["carried"]]

    assert [(row["window_start"], row["counted"], row["carried"]) for row in carried] == [
        (format_time(MONTH_1), None, 500)
    ]


def test_the_formats_hold_the_same(month: Stack, operate: Operate, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for format_name in ("csv", "jsonl", "parquet"):
        ran = operate("--json", *NOVEMBER, "--format", format_name, "--output", str(tmp_path / format_name))
        assert (ran.json["rows"], ran.json["organizations"]) == (4, 2)

    expected = [json.loads(line) for line in (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()]
    table = parquet.read_table(tmp_path / "parquet")
    text = {True: "true", False: "false", None: ""}
    assert [dict(row) for row in csv.DictReader(io.StringIO((tmp_path / "csv").read_text(encoding="utf-8")))] == [
        {
            name: text.get(value, str(value)) if isinstance(value, bool | None) else str(value)
            for name, value in row.items()
        }
        for row in expected
    ]
    times = {column.name for column in COLUMNS if column.type == "time"}
    assert table.to_pylist() == [
        {name: parse_time(value) if name in times and value else value for name, value in row.items()}
        for row in expected
    ]
    assert [str(kind) for kind in table.schema.types[:6]] == [
        "string", "timestamp[ms, tz=UTC]", "string", "string", "int64", "int64"
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "jsonl", "parquet"]


def test_who_has_no_record_is_found_by_a_scan(month: Stack, operate: Operate) -> None:
    def organizations(*arguments: str) -> list[str]:
        out = operate(*NOVEMBER, "--format", "jsonl", *arguments).out
        return sorted({json.loads(line)["organization_id"] for line in out.splitlines()})

    assert organizations() == ["acme", "globex"]
    assert organizations("--scan") == ["acme", "globex", "nobody"]
    assert organizations("--organization", "nobody", "--organization", "acme") == ["acme", "nobody"]
    listed, scanned = (sorted(operate(*NOVEMBER, *how).out.splitlines()) for how in ((), ("--scan",)))
    assert set(listed) <= set(scanned)


def test_damaged_hours_are_rows_too(stack: Stack, operate: Operate, dynamodb: DynamoDBClient) -> None:
    damages: list[dict[str, Any]] = [
        {"temperature_readings": {"S": "many"}},
        {"temperature_readings": {"N": "1E+100"}},
        {"reported": {"M": {"temperature_readings": {"N": "1E+100"}}}},
        {"window_start": {"S": "2026-11-23T08:30:00Z"}},
        {"history": {"N": "1"}},
    ]
    put(dynamodb, "UsageTable", [due_hour(f"org-{number}", **damage) for number, damage in enumerate(damages)])

    ran = operate(*NOVEMBER, "--scan", "--format", "jsonl")
    rows = [json.loads(line) for line in ran.out.splitlines()]

    assert (ran.code, {row["organization_id"] for row in rows}) == (0, {f"org-{number}" for number in range(5)})
    assert [row["counted"] for row in rows if row["organization_id"] == "org-1" and row["meter"] == READINGS] == [None]


@pytest.mark.parametrize("output", [True, False])
def test_an_interruption_leaves_no_half_file_and_says_so(
    month: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: bool
) -> None:
    monkeypatch.setattr("operations.commands.export.rows_of_recorded", _ending_with(KeyboardInterrupt))
    ran = operate(*NOVEMBER, *(["--output", str(tmp_path / "file")] if output else []))

    assert ran.code == 130
    assert "Interrupted after 1 rows of 1 organisations" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_half_file(
    month: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("operations.commands.export.rows_of_recorded", _ending_with(StripeUnavailableError))
    ran = operate("--json", *NOVEMBER, "--output", str(tmp_path / "file"))

    assert (ran.code, ran.json["error"]["type"]) == (1, "StripeUnavailableError")
    assert list(tmp_path.iterdir()) == []


def _ending_with(error: type[BaseException]) -> Callable[..., Iterator[list[Any]]]:
    def parts(*_: object) -> Iterator[list[Any]]:
        yield [tuple("x" for _ in COLUMNS)]
        raise error("no response")

    return parts


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--month", "May"],
        ["export", "--month", "2026-13"],
        ["export", "--month", "2026-11", "--format", "parquet"],
        ["export", "--month", "2026-11", "--format", "xlsx"],
        ["--json", "export", "--month", "2026-11"],
        ["export", "--month", "2026-11", "--scan", "--organization", "acme"],
        ["export"],
    ],
)
def test_wrong_usage_is_told(stack: Stack, operate: Operate, arguments: list[str]) -> None:
    assert operate(*arguments).code == 2


def test_without_pyarrow_parquet_says_what_to_install(
    month: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    ran = operate(*NOVEMBER, "--format", "parquet", "--output", str(tmp_path / "file"))

    assert ran.code == 1
    assert "pip install pyarrow" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_month_begins_and_ends_in_utc() -> None:
    assert month_of("2026-02") == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert month_of("2026-12")[1] == datetime(2027, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="unconverted"):
        month_of("2026-12-01")


def test_memory_does_not_grow_with_the_organisations(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = [
        UsageRecord("acme", format_time(BEGIN + number * HOUR), temperature_readings=number) for number in range(100)
    ]
    monkeypatch.setattr(export_module, "known_periods", lambda *_: [])
    monkeypatch.setattr(export_module, "hours_between", lambda *_: hours)

    def peak(organizations: int) -> int:
        tracemalloc.start()
        names = (f"organization-{number}" for number in range(organizations))
        rows = sum(len(part) for part in rows_of(names, BEGIN, BEGIN + timedelta(days=5), MONTH_1))
        assert rows == organizations * 100
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    few, many = peak(20), peak(200)
    assert many < 2 * few, "ten times the organisations in the same memory"


def test_the_page_for_finance_names_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "finance.md").read_text(encoding="utf-8")
    table = page[page.index("| column | type") : page.index("The columns and their order stay")]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[1])]

    assert named == [column.name for column in COLUMNS]
