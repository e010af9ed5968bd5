"""What an organisation's invoices bill, and the hours behind each line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from billing.clock import HOUR, format_time
from billing.tables.periods import PeriodRecord
from programs.local.http_api import HttpApi
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, READINGS, SENSORS, Life, late_life

if TYPE_CHECKING:
    from programs.local.stack import Stack

INVOICES = "/organizations/acme/invoices"


@pytest.fixture
def life(stack: Stack) -> Life:
    """Let an organisation be billed 360 readings, of which 500 more come later, and 5 sensors."""
    return late_life(stack, MONTH_2 + 6 * HOUR, sensors=5)


def test_invoices_are_listed_with_their_periods_newest_first(life: Life, api: HttpApi) -> None:
    response = api.call("GET", INVOICES)

    assert response.status == 200
    current, second, first = response.body["periods"]
    assert [each["state"] for each in (current, second, first)] == ["open", "closed", "closed"]
    assert (current["invoices"], current["meters"][READINGS]["counted"]) == ([], None)
    assert (first["starts_at"], first["ends_at"]) == (format_time(BEGIN), format_time(MONTH_1))
    (invoice,) = first["invoices"]
    assert (invoice["status"], invoice["is_final"]) == ("paid", True)
    assert invoice["quantities"] == {READINGS: 360, SENSORS: 5}

    def sums(period: dict[str, Any]) -> tuple[Any, ...]:
        line = period["meters"][READINGS]
        return tuple(
            line[name] for name in ("counted", "carried_in", "on_other_invoices", "total", "invoiced", "agrees")
        )

    assert sums(first) == (860, 0, 500, 360, 360, True)
    assert sums(second) == (0, 500, 0, 500, 500, True)
    assert response.body["next_cursor"] is None


def test_pages_of_invoices_add_up(life: Life, api: HttpApi) -> None:
    everything = api.call("GET", INVOICES).body["periods"]
    query: dict[str, str] = {"limit": "2"}
    first = api.call("GET", INVOICES, query=query)
    second = api.call("GET", INVOICES, query={**query, "cursor": first.body["next_cursor"]})

    assert first.body["periods"] + second.body["periods"] == everything
    assert second.body["next_cursor"] is None


def test_an_invoice_shows_the_hours_behind_its_lines(life: Life, api: HttpApi) -> None:
    periods = api.call("GET", INVOICES).body["periods"]
    for number, expected in ((1, 500), (2, 360)):
        invoice_id = periods[number]["invoices"][0]["invoice_id"]
        body = api.call("GET", f"{INVOICES}/{invoice_id}").body

        (line,) = (each for each in body["lines"] if each["meter"] == READINGS)
        rows = sum(hour["billed"].get(READINGS, 0) for hour in body["hours"])
        assert rows - line["on_other_invoices"] == line["total"] == line["invoiced"] == expected
        assert line["by_invoice"] == {invoice_id: expected}
        assert body["period"]["starts_at"] == periods[number]["starts_at"]
    first, late = body["hours"]
    assert (first["state"], first["place"], first["unchanged_since"][READINGS]) == (
        "reported",
        "here",
        "2026-11-23T11:05:00Z",
    )
    assert [entry["kind"] for entry in late["history"]] == ["late"]


def test_pages_of_hours_add_up_beside_the_same_lines(life: Life, api: HttpApi) -> None:
    invoice_id = api.call("GET", INVOICES).body["periods"][2]["invoices"][0]["invoice_id"]
    path = f"{INVOICES}/{invoice_id}"
    whole = api.call("GET", path).body
    first = api.call("GET", path, query={"limit": "1"}).body
    second = api.call("GET", path, query={"limit": "1", "cursor": first["next_cursor"]}).body

    assert first["lines"] == second["lines"] == whole["lines"]
    assert first["hours"] + second["hours"] == whole["hours"]
    assert second["next_cursor"] is None


def test_an_invoice_of_somebody_else_is_a_404(life: Life, api: HttpApi) -> None:
    invoice_id = api.call("GET", INVOICES).body["periods"][2]["invoices"][0]["invoice_id"]
    for path in (f"{INVOICES}/in_other", f"/organizations/globex/invoices/{invoice_id}"):
        response = api.call("GET", path)
        assert (response.status, response.body["detail"]) == (404, "The organisation has no such invoice")
        assert response.headers["Content-Type"] == "application/problem+json"


def test_an_organisation_without_periods_has_none(stack: Stack, api: HttpApi) -> None:
    assert api.call("GET", INVOICES).body == {"organization_id": "acme", "periods": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", {"limit": "0"}),
        ("", {"limit": "101"}),
        ("", {"cursor": "2026-11-23T08:00:00Z"}),
        ("/in_1", {"limit": "1001"}),
        ("/in_1", {"cursor": "yesterday"}),
        ("/sub_1", {}),
    ],
)
def test_what_makes_no_sense_is_refused(stack: Stack, api: HttpApi, path: str, query: dict[str, str]) -> None:
    response = api.call("GET", INVOICES + path, query=query)

    assert response.status == 422
    assert response.body["errors"]


def test_a_period_that_cannot_be_read_says_so(life: Life, api: HttpApi) -> None:
    (record,) = [each for each in PeriodRecord.scan() if each.starts_at == BEGIN]
    record.update(actions=[PeriodRecord.stripe_customer_id.remove()])

    damaged = api.call("GET", INVOICES).body["periods"][2]
    assert damaged["is_damaged"] is True
    assert damaged["meters"][READINGS]["agrees"] is None
    assert damaged["meters"][READINGS]["remarks"][0]["code"] == "damaged"


def test_invoices_import_no_stripe(life: Life, api: HttpApi) -> None:
    invoice_id = api.call("GET", INVOICES).body["periods"][2]["invoices"][0]["invoice_id"]
    program = f"""
import sys
from programs.local.http_api import HttpApi
statuses = [HttpApi().call("GET", f"{INVOICES}{{path}}").status for path in ("", "/{invoice_id}")]
print(statuses, "stripe" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POWERTOOLS_LOG_LEVEL": "CRITICAL"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert run.stdout.splitlines()[-1] == "[200, 200] False"
