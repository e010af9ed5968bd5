"""`operate doctor`: a stack that is right is all good; each thing that is broken is one bad line with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.doctor.queues import DEAD_LETTER_QUEUES
from operations.doctor.schedule import SCHEDULES
from programs.local.cloudformation import read_template
from programs.local.stack import Stack, running_stack
from stripe_simulator import Simulator
from tests.operations.broken import BROKEN, portal_ends_at_once, together
from tests.operations.conftest import START, Operate
from tests.operations.deployed import NAME, Deployed, Refusing, deployed
from tests.template.expanded import expand


@pytest.fixture
def stack(dynamodb: object, dynamodb_endpoint: str, simulator: Simulator, tmp_path: Path) -> Iterator[Stack]:
    """Give a stack whose Stripe account is provisioned as an operator does it."""
    secrets_file = tmp_path / "secrets.json"
    with running_stack(simulator, dynamodb_endpoint, start=START, secrets_file=secrets_file) as running:
        yield running


@pytest.fixture
def world(stack: Stack, operate: Operate) -> Iterator[Deployed]:
    with deployed(stack) as made:
        yield made


def lines_of(operate: Operate, *options: str, code: int) -> dict[str, dict[str, str]]:
    ran = operate("--json", "--stack", NAME, "doctor", *options)
    assert ran.code == code, ran.out
    return {line["subject"]: line for line in ran.json["lines"]}


def test_a_stack_that_is_right_is_all_good(world: Deployed, operate: Operate) -> None:
    ran = operate("--json", "--stack", NAME, "doctor", "--deep")
    assert [line for line in ran.json["lines"] if line["verdict"] != "good"] == []
    assert (ran.code, ran.json["bad"], ran.json["unknown"]) == (0, 0, 0)
    assert ran.json["good"] == len(ran.json["lines"]) > 30
    assert all(line["advice"] == "" for line in ran.json["lines"])


# --- what is bad


@pytest.mark.parametrize("cases", together(), ids=lambda cases: cases[0])
def test_what_is_broken_is_a_bad_line_with_what_to_do(cases: list[str], world: Deployed, operate: Operate) -> None:
    for case in cases:
        BROKEN[case][0](world)

    lines = lines_of(operate, "--deep", code=1)

    for case in cases:
        _, subject, detail, advice = BROKEN[case]
        assert lines[subject]["verdict"] == "bad", case
        assert detail in lines[subject]["detail"], case
        assert advice in lines[subject]["advice"], case
    if len(cases) > 1:
        assert {subject for subject, line in lines.items() if line["verdict"] == "good"}, "and the rest is not"


# --- what is unknown


def test_what_your_credentials_may_not_look_at_is_unknown_and_the_rest_goes_on(
    world: Deployed, operate: Operate
) -> None:
    refused = {
        "sts": {"AWS"},
        "scheduler": {"Schedules"},
        "cloudwatch": {"Last successful run", "Alarms"},
        "sns": {"Alarms' receivers"},
        "sqs": {"Usage queue", *(output.removesuffix("Url") for output in DEAD_LETTER_QUEUES)},
    }
    world.clients |= dict.fromkeys(refused, Refusing())

    lines = lines_of(operate, code=3)

    unknown = {subject for subject, line in lines.items() if line["verdict"] == "unknown"}
    assert unknown == set().union(*refused.values())
    assert all("your credentials may not: " in lines[subject]["detail"] for subject in unknown)
    assert "arn:secret" not in str(lines), "AWS's messages are not told"
    assert lines["Meter active_sensors"]["verdict"] == lines["Records"]["verdict"] == "good"


def test_without_stripe_its_lines_are_unknown_and_it_is_asked_only_once(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_503")
    world.stack.simulator.requests.clear()
    lines = lines_of(operate, code=3)
    unknown = {subject for subject, line in lines.items() if line["verdict"] == "unknown"}
    assert unknown == {
        *("Key's permissions", "Meters", "Prices", "Customer portal", "Grace period", "Webhook destinations", "Events")
    }
    assert len({request.path for request in world.stack.simulator.requests}) == 1


def test_a_check_that_stripe_does_not_let_the_key_do_is_unknown(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_403", "/v1/billing_portal/*", message="Having rak_portal_read would help")
    lines = lines_of(operate, code=1)
    assert lines["Customer portal"]["verdict"] == "unknown"
    assert "rak_portal_read" in lines["Customer portal"]["advice"]
    assert lines["Grace period"]["verdict"] == "good"


def test_without_a_key_stripe_is_not_asked(world: Deployed, operate: Operate) -> None:
    world.put_secret(api_key="", webhook_secrets=[])
    world.stack.simulator.requests.clear()
    lines = lines_of(operate, code=1)
    assert lines["Meters"]["detail"] == "there is no key to ask Stripe with"
    assert lines["Records"]["verdict"] == "good"
    assert len(world.stack.simulator.requests) == 0


def test_a_missing_table_is_bad_and_the_rest_goes_on(world: Deployed, operate: Operate) -> None:
    world.cloudformation.outputs["UsageTableName"] = "NoSuchTable"
    lines = lines_of(operate, code=1)
    assert (lines["Oldest due hour"]["verdict"], lines["Oldest due hour"]["detail"]) == ("bad", "the table is missing")
    assert lines["Usage queue"]["verdict"] == "good"


def test_a_defect_of_one_check_hides_no_other(
    world: Deployed, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.doctor.hours.oldest_due", lambda: 1 / 0)
    lines = lines_of(operate, code=3)
    assert lines["Oldest due hour"]["verdict"] == "unknown"
    assert lines["Hidden hours"]["verdict"] == "good"


def test_what_nothing_has_shown_yet_is_unknown(
    dynamodb: object, dynamodb_endpoint: str, simulator: Simulator, operate: Operate
) -> None:
    with running_stack(simulator, dynamodb_endpoint, start=START):
        ran = operate("--json", "doctor")
    lines = {line["subject"]: line for line in ran.json["lines"]}
    for subject in ("Stack", "Grace period", "Snapshot events", "Thin events", "Webhook destinations"):
        assert lines[subject]["verdict"] == "unknown", subject
        assert lines[subject]["advice"]
    assert not {"Hourly run", "Alarms"} & lines.keys(), "only a stack has these"


# --- how it is shown


def test_it_fits_80_columns_and_says_what_to_do(
    world: Deployed, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    portal_ends_at_once(world)
    ran = operate("--stack", NAME, "doctor", "--deep")
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("bad ") and "Customer portal" in line for line in lines)
    assert any(line.strip() == "→ Run `operate provision --apply`." for line in lines)
    assert "…" not in ran.out, "nothing is cut off"
    assert "1 bad, 0 unknown." in lines[-1]
    assert ran.code == 1


def test_no_secret_is_printed(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_403", "/v1/prices", message="The key rk_test_deployed lacks rak_price_read")
    world.stack.simulator.faults.add("http_400", "/v1/billing/meters", message="rk_test_deployed")
    signing = [each.secret for each in world.stack.simulator.webhooks.destinations.values()]
    for options in (["--json"], []):
        ran = operate(*options, "--stack", NAME, "doctor", "--deep")
        assert "rak_price_read" in ran.out
        assert not any(secret in ran.out + ran.err for secret in ["rk_test_deployed", *signing])


def test_it_changes_nothing(world: Deployed, operate: Operate) -> None:
    portal_ends_at_once(world)
    world.stack.simulator.requests.clear()
    lines_of(operate, "--deep", code=1)
    effects = {(request.method, request.status) for request in world.stack.simulator.requests}
    assert {status for method, status in effects if method != "GET"} <= {400, 404}


def test_the_template_has_what_is_looked_at() -> None:
    outputs = read_template()["Outputs"].keys()
    assert {name for name in outputs if name.endswith("DeadLetterQueueUrl")} == DEAD_LETTER_QUEUES.keys()
    assert expand().of_type("AWS::Scheduler::Schedule").keys() >= SCHEDULES.keys()
    assert "UsageMeteringQueue" in expand(MeteringWorkers="4").resources
