"""House rules for parameters: each is used, on the page on deploying, and in one group of the console's form."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from programs.local.cloudformation import read_template
from tests.template.source import ROOT

TEMPLATE = read_template()
PARAMETERS = TEMPLATE["Parameters"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_used(name: str) -> None:
    text = json.dumps({section: TEMPLATE[section] for section in ("Conditions", "Globals", "Resources")})

    assert f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_described_and_has_a_default(name: str) -> None:
    assert PARAMETERS[name]["Description"].endswith(".")
    assert "Default" in PARAMETERS[name]


def test_every_parameter_is_in_one_group_of_the_console_s_form() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert Counter(name for group in groups for name in group["Parameters"]) == Counter(PARAMETERS.keys())


def test_the_page_on_deploying_explains_every_parameter() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = page.split("## Parameters\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == set(PARAMETERS)


def test_a_new_account_takes_every_default() -> None:
    # With its 10 concurrent executions it may reserve none.
    assert (PARAMETERS["ReserveMeteringConcurrency"]["Default"], PARAMETERS["MeteringWorkers"]["Default"]) == (
        "false",
        0,
    )


ALLOWED_AND_REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "AllowedRedirectHosts": (
        [
            "",
            "app.example.com",
            "localhost:3000",
            "a.example.com,b.example.com:8443",
            "a.example.com, b.example.com",
            "a.example.com ,b.example.com",
        ],
        # What SAM leaves of "a.example.com, b.example.com" outside quotes; what no request would ever match.
        ["a.example.com,", "https://app.example.com", "app.example.com/billing", ",a.example.com"],
    ),
    "AllowedPriceIds": (
        ["", "price_1AbC", "price_1,price_2", "price_1, price_2"],
        ["price_1,", "price-1", "price_1;x"],
    ),
    "CheckoutOptions": (
        [
            "",
            "automatic_tax",
            "tax_id_collection,allow_promotion_codes, billing_address_collection:required",
            "trial_period_days:730,missing_payment_method:pause",
        ],
        # More than Stripe takes; what is none; what SAM leaves of "automatic_tax, tax_id_collection".
        ["trial_period_days:731", "trial_period_days:0", "trial_period_days", "taxes", "automatic_tax,", "locale:xx"],
    ),
    "AlarmEmail": (["", "ops@example.com"], ["ops", "ops@", "a b@example.com", "a@b@c"]),
    "UsageSenders": (
        [
            "",
            "123456789012",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:role/service-role/gateway,arn:aws-cn:iam::123456789012:user/ops,210987654321",
        ],
        # Everybody; what is no principal; what SAM leaves of "123456789012, 210987654321".
        ["*", "arn:aws:iam::*:root", "arn:aws:sts::123456789012:assumed-role/a/b", "12345", "123456789012,", "a, b"],
    ),
    "UsageRules": (
        [
            "",
            "arn:aws:events:eu-central-1:123456789012:rule/usage",
            "arn:aws:events:eu-central-1:123456789012:rule/sensors/usage,arn:aws:events:eu-west-1:123456789012:rule/b",
        ],
        ["*", "usage", "arn:aws:events:eu-central-1:123456789012:rule/*", "arn:aws:iot:eu-central-1:1:rule/usage"],
    ),
    "JwtIssuer": (["", "https://login.example.com/"], ["login.example.com", "http://login.example.com", "https://"]),
}


@pytest.mark.parametrize("name", ALLOWED_AND_REFUSED)
def test_a_value_that_would_not_work_is_refused_when_it_is_deployed(name: str) -> None:
    pattern = PARAMETERS[name]["AllowedPattern"]
    allowed, refused = ALLOWED_AND_REFUSED[name]

    assert [value for value in allowed if not re.fullmatch(pattern, value)] == []
    assert [value for value in refused if re.fullmatch(pattern, value)] == []


@pytest.mark.parametrize("name", ["MeterEventsPerSecond", "ReconciliationCallsPerSecond"])
def test_a_pace_that_every_run_would_refuse_is_refused_when_it_is_deployed(name: str) -> None:
    pattern = PARAMETERS[name]["AllowedPattern"]

    for allowed in ("", "1", "10", "0.5", "250.25", "05"):
        assert re.fullmatch(pattern, allowed), allowed
    for refused in ("0", "0.0", "00", "-1", "fast", "1.", ".5", "1e3"):
        assert not re.fullmatch(pattern, refused), refused
