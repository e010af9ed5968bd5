"""`operate explain`: as a table, for programs, for a spreadsheet; from a life whose invoices are final."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from billing.clock import HOUR, format_time
from billing.errors import StripeUnavailableError
from billing.invoices.explaining import known_periods
from operations.output import csv_line
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, READINGS, SENSORS, Life, late_life

if TYPE_CHECKING:
    from programs.local.stack import Stack
    from tests.operations.conftest import Operate

HOSTILE = "=cmd&(acme)"


@pytest.fixture
def life(stack: Stack) -> Life:
    """Let an organisation be billed 360 readings, of which 500 more come later, and 5 sensors."""
    return late_life(stack, MONTH_2 + 6 * HOUR, HOSTILE, sensors=5)


def invoice_of(number: int) -> str:
    """Return the id of the invoice of one of the life's periods, numbered from 0."""
    periods = known_periods(HOSTILE, datetime(2027, 3, 1, tzinfo=UTC))
    (invoice_id,) = list(reversed(periods))[number].invoices
    return invoice_id


def test_an_invoice_is_explained_line_by_line(life: Life, operate: Operate) -> None:
    ran = operate("--json", "explain", invoice_of(1))

    explanation = ran.json
    (readings,) = (line for line in explanation["lines"] if line["meter"] == READINGS)
    assert (explanation["organization_id"], ran.code) == (HOSTILE, 0)
    assert explanation["period"]["starts_at"] == format_time(MONTH_1)
    assert (readings["counted"], readings["carried_in"], readings["total"], readings["invoiced"]) == (0, 500, 500, 500)
    assert readings["agrees"] is True
    (reason,) = readings["reasons"]
    assert (reason["counted"], reason["invoiced"]) == (860, 360)
    (hour,) = explanation["hours"]
    assert (hour["carried"], hour["billed"]) == ({READINGS: 500}, {READINGS: 500})
    assert [entry["kind"] for entry in hour["history"]] == ["carried", "reported"]


def test_a_period_is_explained_by_its_organisation_and_a_moment(life: Life, operate: Operate) -> None:
    first = operate("--json", "explain", HOSTILE, "--period", format_time(BEGIN)).json
    inside = operate("--json", "explain", HOSTILE, "--period", format_time(BEGIN + 100 * HOUR)).json
    current = operate("--json", "explain", HOSTILE).json

    assert first == inside
    assert first["period"]["invoices"][0]["invoice_id"] == invoice_of(0)
    assert [line["remarks"][0]["code"] for line in current["lines"]] == ["open", "open"]


@pytest.mark.parametrize("width", ["80", "200"])
def test_the_table_is_whole_at_any_width(
    life: Life, operate: Operate, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)

    out = operate("explain", invoice_of(0)).out

    assert max(map(len, out.splitlines())) <= int(width)
    assert "…" not in out
    words = " ".join(out.split())
    assert re.search(r"the hours 860 on other invoices - 500 together = 360 on in_\w+ 360 it agrees", words), out
    assert "500 came after this invoice was final and are charged by another" in words
    assert f"{format_time(BEGIN + 30 * HOUR)} 500 500 late" in words


def test_rows_for_a_spreadsheet_add_up_and_calculate_nothing(life: Life, operate: Operate) -> None:
    out = operate("explain", invoice_of(0), "--csv").out
    rows = list(csv.DictReader(io.StringIO(out)))

    added = {
        meter: sum(
            int(row["on_invoice"])
            for row in rows
            if row["meter"] == meter and row["row"] in ("hour", "on_other_invoices")
        )
        for meter in (READINGS, SENSORS)
    }
    invoiced = {row["meter"]: (int(row["on_invoice"]), row["note"]) for row in rows if row["row"] == "invoiced"}
    assert added == {READINGS: 360, SENSORS: 5}
    assert invoiced == {READINGS: (360, "agrees"), SENSORS: (5, "agrees")}
    assert csv_line([HOSTILE, -5, "+1", None, 'a "b", c']) == """'=cmd&(acme),-5,'+1,,"a ""b"", c\""""


def test_an_invoice_is_found_where_stripe_cannot_say_whose_it_is(
    life: Life, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise StripeUnavailableError("no response")

    monkeypatch.setattr("operations.invoices.retrieve_invoice", unreachable)
    ran = operate("--json", "explain", invoice_of(0))

    assert ran.json["organization_id"] == HOSTILE
    assert "Stripe cannot say" in ran.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["in_unknown"], "UnknownInvoiceError"),
        (["nobody"], "UnknownOrganizationError"),
        ([HOSTILE, "--period", "2020-01-01T00:00:00Z"], "UnknownPeriodError"),
        ([HOSTILE, "--subscription", "sub_none"], "UnknownPeriodError"),
        ([HOSTILE, "--html", "/nowhere/page.html"], "FileError"),
    ],
)
def test_what_cannot_be_explained_is_an_error_in_words(
    life: Life, operate: Operate, arguments: list[str], error: str
) -> None:
    ran = operate("--json", "explain", *arguments)

    assert (ran.code, ran.json["error"]["type"]) == (1, error)
    if error == "UnknownPeriodError" and "--period" in arguments:
        assert format_time(MONTH_1) in ran.json["error"]["message"]


@pytest.mark.parametrize("arguments", [["--json", "explain", "acme", "--csv"], ["explain", "acme", "--period", "May"]])
def test_wrong_usage_is_told(stack: Stack, operate: Operate, arguments: list[str]) -> None:
    assert operate(*arguments).code == 2


def test_a_page_is_written_whole_or_not_at_all(life: Life, operate: Operate, tmp_path: Path) -> None:
    file = tmp_path / "page.html"

    assert operate("explain", invoice_of(0), "--html", str(file)).out == f"Written to {file}.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert file.read_text(encoding="utf-8").endswith("</html>\n")
