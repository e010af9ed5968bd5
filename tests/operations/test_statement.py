"""The page for a customer: one file, harmless whatever an id contains, in words of theirs; and a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path

import pytest

from billing.clock import HOUR, format_time
from billing.history import Entry
from billing.invoices.explanation import ExplainedHour, Explanation, explain
from billing.invoices.reasons import Reason
from billing.metered_subscriptions import BillingPeriod
from billing.periods import InvoiceOfPeriod, Period
from operations.statement import page

BEGIN = datetime(2026, 11, 23, 10, 3, tzinfo=UTC)
END = datetime(2026, 12, 23, 10, 3, tzinfo=UTC)
READINGS, SENSORS = "temperature_readings", "active_sensors"
HOSTILE = "\"><script>document.title='taken'</script>&</title><img src=x onerror=alert(1)>"
# What our side says to itself, and what the customer has no use for.
INTERNAL = re.compile(
    r"stripe|dynamodb|\bdue\b|refus|settle|shard|carried_|revision|ledger|cus_|sub_|temperature_readings|active_sensors"
    r"|unreported|meter\b|webhook|declared|acme",
    re.IGNORECASE,
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def an_hour(number: int, readings: int, *, state: str = "reported", **values: object) -> ExplainedHour:
    start = BEGIN.replace(minute=0) + number * HOUR
    seen = Entry(format_time(start + HOUR + timedelta(minutes=5)), "reported", {READINGS: readings})
    counted = {READINGS: readings, SENSORS: 40 + number % 3}
    made = {"place": "here", "reason": None, "counted": counted, "carried": {}, "history": (seen,)} | values
    return ExplainedHour(window_start=format_time(start), state=state, **made)  # type: ignore[arg-type]


def an_explanation(organization_id: str = "customer-1", **changes: object) -> Explanation:
    """Explain a month with usage in every third hour, one correction, one refusal, and 500 from before."""
    first = format_time(BEGIN.replace(minute=0) + HOUR)
    hours = [an_hour(number, 100 + number % 7) for number in range(3, 700, 3)]
    corrected = Entry("2026-11-24T05:00:00Z", "reported", {READINGS: 5})
    hours.insert(0, an_hour(1, 100, carried={READINGS: 500}))
    hours[4] = an_hour(12, 105, history=(corrected, *an_hour(12, 105).history))
    hours[6] = an_hour(18, 7, state="refused", reason="stripe_refused: No such customer cus_1")
    billed = sum(hour.counted[READINGS] for hour in hours) + 500
    reason = Reason(READINGS, BEGIN - timedelta(days=31), BEGIN, 860, 360, ("in_0",))
    values: dict[str, object] = {
        "state": "closed",
        "meters": (SENSORS, READINGS),
        "counted": {READINGS: billed - 500, SENSORS: hours[-1].counted[SENSORS]},
        "invoices": {
            "in_1": InvoiceOfPeriod("paid", {READINGS: billed, SENSORS: hours[-1].counted[SENSORS]}, closes=True)
        },
        "carried": {first: {READINGS: 500}},
        "carried_why": (str(reason),),
    }
    period = Period(BillingPeriod("sub_1", "cus_1", BEGIN, END), **(values | changes))  # type: ignore[arg-type]
    return explain(organization_id, period, [period], hours, END + HOUR)


def words_of(html: str) -> str:
    body = html[html.index("<body>") :]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_the_page_adds_up_in_the_customers_words() -> None:
    explanation = an_explanation()
    words = words_of(page(explanation))
    line = explanation.line(READINGS)

    assert (line.agrees, line.carried_in) == (True, 500)
    assert "Usage behind invoice in_1 customer-1 23 November 2026, 10:03 to 23 December 2026, 10:03" in words
    assert f"The hours of this period {line.counted:,}" in words
    assert "23 November 2026, 10:03: 860 counted, 360 charged (in_0) +500" in words
    assert f"Together {line.total:,} On invoice in_1 {line.invoiced:,} ✓ The invoice has this sum." in words
    assert "23 November 2026, 22:00: corrected: 5 (24 November 2026, 05:00), then 105" in words
    assert INTERNAL.findall(words) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "open", "invoices": {}},
        {"state": "draft"},
        {"state": "not_invoiced", "invoices": {}},
        {"counted": {READINGS: 5, SENSORS: 1}},
        {"meters": (READINGS,)},
        {"missing": (SENSORS,)},
        {"is_damaged": True},
        {"told": {"too_much": {READINGS: 5}, "late_number": {SENSORS: 1}}},
        {"invoices": {"in_1": InvoiceOfPeriod("paid", {READINGS: 9, SENSORS: 9}, closes=True, in_units=False)}},
    ],
)
def test_whatever_differs_is_said_in_the_customers_words(changes: dict[str, object]) -> None:
    words = words_of(page(an_explanation("customer-1", **changes)))

    assert INTERNAL.findall(words) == []
    assert "✓" not in words or "≠" not in words or len(changes) == 1


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    html = page(an_explanation(HOSTILE))

    assert escape(HOSTILE) in html
    assert re.findall(r"<(script|img|link|iframe|object)\b|<[^>]*\son\w+=|url\(|@import|https?:", html) == []
    assert "default-src 'none'" in html


@pytest.fixture
def browser() -> str:
    if CHROMIUM is None:
        pytest.skip("Chromium cannot be had: the page is not opened (Debian: apt install chromium)")
    return CHROMIUM


def run(browser: str, folder: Path, *arguments: str) -> str:
    """Run the browser without a window, and return what it prints."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    settings = [f"--user-data-dir={folder / 'profile'}", "--allow-file-access-from-files", "--hide-scrollbars"]
    return subprocess.run(
        [*command, *settings, *arguments], capture_output=True, text=True, check=True, timeout=120
    ).stdout


# Opens the page in a frame of a width, and writes down what it sees.
LOOK = """<!doctype html><iframe id="frame" src="page.html" style="width: WIDTHpx; height: 900px"></iframe>
<pre id="seen"></pre>
<script>onload = () => {
  const page = document.getElementById("frame").contentDocument, style = page.defaultView.getComputedStyle(page.body);
  const bars = [...page.querySelectorAll("svg rect")].map(bar => bar.getBoundingClientRect());
  document.getElementById("seen").textContent = JSON.stringify({
    title: page.title, overflows: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    bars: bars.filter(bar => bar.width > 0 && bar.height > 0).length, paper: style.backgroundColor, ink: style.color,
    loaded: page.defaultView.performance.getEntriesByType("resource").length });
}</script>"""


@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_all_of_it(browser: str, tmp_path: Path, width: int) -> None:
    explanation = an_explanation(HOSTILE)
    (tmp_path / "page.html").write_text(page(explanation), encoding="utf-8")
    (tmp_path / "look.html").write_text(LOOK.replace("WIDTH", str(width)), encoding="utf-8")

    out = run(browser, tmp_path, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "look.html").as_uri())
    match = re.search(r'<pre id="seen">(.*?)</pre>', out, re.DOTALL)
    assert match, out
    seen = json.loads(unescape(match[1]))

    assert seen["title"] == "Usage behind invoice in_1"
    assert (seen["overflows"], seen["loaded"]) == (0, 0)
    # A bar for each hour and meter, one for what was carried, and how long each number of sensors held.
    assert seen["bars"] == 3 * len(explanation.hours) + 1
    assert seen["paper"] != seen["ink"]


def test_a_browser_prints_it(browser: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(an_explanation(HOSTILE)), encoding="utf-8")
    file = tmp_path / "page.pdf"

    run(browser, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={file}", (tmp_path / "page.html").as_uri())

    assert file.read_bytes().startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) <= 8
