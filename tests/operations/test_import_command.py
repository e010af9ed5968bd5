"""`operate import`: what a file counts, what it would count, and what of it is refused."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing.tables.periods import PeriodRecord, period_key
from billing.tables.usage_events import UsageEventRecord
from programs.local.stack import Stack
from tests.operations.conftest import Operate
from tests.operations.usage_lines import COUNTS, HEADER, LINES, counts, written

RENEWAL = datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_a_file_is_counted_in_its_hours_and_they_are_due(stack: Stack, operate: Operate, file: Path) -> None:
    ran = operate("--json", "import", str(file), "--hours")

    assert (ran.code, ran.err) == (0, "")
    assert counts() == COUNTS
    assert stack.due_hours() == sorted(COUNTS)
    hours = ran.json["hours"]
    assert ran.json == {
        "source": "import:usage.csv",
        "lines": 5,
        "counted": 5,
        "counted_before": 0,
        "refused": {},
        "hours": hours,
        "dry_run": False,
    }
    assert [(hour["organization_id"], hour["meter"], hour["events"], hour["value"]) for hour in hours] == [
        ("acme", "active_sensors", 2, 4),
        ("acme", "temperature_readings", 2, 42),
        ("globex", "temperature_readings", 1, 5),
    ]


def test_the_same_file_again_counts_nothing(stack: Stack, operate: Operate, file: Path) -> None:
    operate("import", str(file))
    ran = operate("--json", "import", str(file))

    assert (ran.code, ran.json["counted"], ran.json["counted_before"]) == (0, 0, 5)
    assert counts() == COUNTS
    assert ran.json["periods"] == []


def test_a_file_that_grew_counts_what_is_new(stack: Stack, operate: Operate, file: Path) -> None:
    operate("import", str(file))
    # Two lines that say the same are two events.
    written(file, LINES[0], *LINES)
    ran = operate("--json", "import", str(file))

    assert (ran.json["counted"], ran.json["counted_before"]) == (1, 5)
    assert counts()["acme", "2026-11-22T08:00:00Z"] == (54, 4)


def test_a_dry_run_tells_what_the_run_would_count_and_counts_nothing(
    stack: Stack, operate: Operate, file: Path
) -> None:
    before = written(file.with_name("before.csv"), *LINES[:2])
    operate("import", str(before), "--source", "import:usage.csv")
    counted = counts()

    foreseen = operate("--json", "import", str(file), "--hours", "--dry-run")
    assert counts() == counted
    assert UsageEventRecord.count() == 2
    ran = operate("--json", "import", str(file), "--hours")

    assert foreseen.json | {"dry_run": False} == ran.json
    assert (ran.json["counted"], ran.json["counted_before"]) == (3, 2)
    assert counts() == COUNTS


def test_a_dry_run_knows_of_an_identity_that_the_file_has_twice(stack: Stack, operate: Operate, tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    lines = [f"{LINES[0]},one", f"{LINES[0]},one", f"{LINES[1]},one"]
    path.write_text("\n".join((f"{HEADER},id", *lines)))

    foreseen = operate("--json", "import", str(path), "--dry-run")
    ran = operate("--json", "import", str(path))

    assert foreseen.json | {"dry_run": False} == ran.json
    assert (foreseen.code, ran.code) == (1, 1)
    assert (ran.json["counted"], ran.json["counted_before"]) == (1, 1)
    assert ran.json["refused"]["conflicting"]["first_lines"] == [4]


def test_refused_lines_are_told_by_number_and_kept_as_they_were(stack: Stack, operate: Operate, tmp_path: Path) -> None:
    path, rejects = tmp_path / "usage.csv", tmp_path / "rejects.csv"
    wrong = [
        b"acme,temperature_readings,2026-10-01T08:10:00Z,12",
        b'acme,"temperature_readings,2026-11-22T08:10:00Z,12',
        b"m\xfcller,temperature_readings,2026-11-22T08:10:00Z,12",
        b"acme,temperature_readings,2026-10-02T08:10:00Z,12",
    ]
    path.write_bytes(b"\r\n".join([HEADER.encode(), LINES[0].encode(), *wrong, LINES[1].encode()]))

    ran = operate("--json", "import", str(path), "--rejects", str(rejects))

    assert (ran.code, ran.json["lines"], ran.json["counted"]) == (1, 6, 2)
    assert {code: each["first_lines"] for code, each in ran.json["refused"].items()} == {
        "too_old": [3, 6],
        "not_csv": [4],
        "not_utf_8": [5],
    }
    assert rejects.read_bytes() == b"\n".join([HEADER.encode(), *wrong, b""])
    shown = operate("import", str(path), "--dry-run")
    assert "Refused, too_old: line 3, 6." in shown.out
    assert "6 lines: 0 would be counted, 2 counted before, 4 refused." in shown.out


def test_the_refused_lines_are_not_written_over_the_file(stack: Stack, operate: Operate, file: Path) -> None:
    content = file.read_text()

    assert operate("import", str(file), "--rejects", str(file)).code == 2
    assert file.read_text() == content


def test_each_hour_is_told_with_the_billing_period_it_lies_in(stack: Stack, operate: Operate, file: Path) -> None:
    for start, state in ((RENEWAL - timedelta(days=30), "closed"), (RENEWAL, "open")):
        PeriodRecord(
            "acme",
            period_key("sub_1", start),
            stripe_subscription_id="sub_1",
            stripe_customer_id="cus_1",
            starts_at=start,
            ends_at=start + timedelta(days=30),
            state=state,
            version=1,
        ).save()
    written(file, *LINES, "acme,temperature_readings,2026-11-05T08:10:00Z,7")

    ran = operate("--json", "import", str(file))

    assert ran.code == 0
    assert [
        (each["organization_id"], each["meter"], each["period"] and each["period"]["state"], each["events"])
        for each in ran.json["periods"]
    ] == [
        ("acme", "temperature_readings", "closed", 1),
        ("acme", "active_sensors", "open", 2),
        ("acme", "temperature_readings", "open", 2),
        ("globex", "temperature_readings", None, 1),
    ]
    written(file, "acme,temperature_readings,2026-11-05T09:10:00Z,7", LINES[-1].replace(",5", ",6"))
    shown = operate("import", str(file)).out
    assert "1 hours lie in a closed billing period" in shown
    assert "1 hours lie in no billing period" in shown


def test_what_comes_on_the_standard_input_has_a_source(
    stack: Stack, operate: Operate, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operate("import", "-").code == 2
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
        assert operate("import", "-", "--source", "import:2026").code == 0
    assert counts() == COUNTS


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "nowhere.csv"], 2, "No such file"),
        (["import", "EMPTY"], 1, "InvalidFileError: The file is empty"),
        (["import", "FILE", "--rejects", "no/such/folder"], 2, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    stack: Stack, operate: Operate, file: Path, arguments: list[str], code: int, said: str
) -> None:
    empty = file.with_name("empty.csv")
    empty.write_text("")
    ran = operate(*({"FILE": str(file), "EMPTY": str(empty)}.get(word, word) for word in arguments))

    assert ran.code == code
    assert said in ran.err
    assert counts() == {}


@pytest.mark.parametrize("width", ["80", "200"])
def test_no_number_is_cut_off_whatever_the_width(
    stack: Stack, operate: Operate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    line = f"{'seattle-' * 5},temperature_readings,2026-11-22T08:10:00Z,123456789"

    shown = operate("import", str(written(tmp_path / "usage.csv", line)), "--dry-run").out

    assert "123456789" in shown
    assert all(len(text) <= int(width) for text in shown.splitlines())
