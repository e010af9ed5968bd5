from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from billing.metering.meter_check import check_meters
from billing.meters import METERS
from billing.stripe_gateway.calls import API_VERSION, StripeGateway
from billing.stripe_gateway.meters import list_meters
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from operations.provisioning.catalogue import DEFAULT_PATH, read_catalogue
from stripe_simulator import Simulator
from tests.operations.conftest import (
    WEBHOOK_URL,
    Operate,
    actions_of,
    destinations_of,
    stored_secrets,
)
from tests.support.secrets import fixed_secrets

pytestmark = pytest.mark.usefixtures("simulator")


def test_a_plan_changes_nothing(simulator: Simulator, secrets_manager: Any, operate: Operate) -> None:
    ran = operate("--json", "provision", "--webhook-url", WEBHOOK_URL)
    assert ran.code == 0
    assert set(actions_of(ran.json["steps"]).values()) == {"create"}
    assert not simulator.account.meters.objects
    assert not destinations_of(simulator)
    assert stored_secrets(secrets_manager) == {"api_key": "", "webhook_secrets": []}
    assert operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--check").code == 1


def test_apply_makes_the_account_and_again_changes_nothing(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    ran = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--apply")
    assert (ran.code, set(actions_of(ran.json["steps"]).values())) == (0, {"keep"})

    gateway = StripeGateway(fixed_secrets("sk_test_x"), simulator.base_url)
    assert set(check_meters(list_meters(gateway))) == {meter.event_name for meter in METERS}
    assert {meter.event_time_window for meter in list_meters(gateway)} == {"hour"}
    prices = simulator.account.prices.objects
    sold = [price for product in read_catalogue().products for price in product.prices]
    amounts = {prices[price_id]["lookup_key"]: prices[price_id]["unit_amount_decimal"] for price_id in prices}
    assert amounts == {price.lookup_key: f"{price.unit_amount:f}" for price in sold}
    assert amounts["active_sensors_monthly"] == "150"
    assert amounts["temperature_readings_monthly"] == "0.05"
    assert ran.json["price_ids"] == {price["lookup_key"]: price["id"] for price in prices.values()}

    snapshot, thin = sorted(destinations_of(simulator), key=lambda destination: destination.payload)
    assert (snapshot.url, snapshot.api_version) == (WEBHOOK_URL, API_VERSION)
    assert sorted(snapshot.enabled_events) == sorted(SNAPSHOT_EVENT_TYPES)
    assert (thin.url, sorted(thin.enabled_events)) == (WEBHOOK_URL, sorted(THIN_EVENT_TYPES))
    assert stored_secrets(secrets_manager) == {
        "api_key": "sk_test_simulator",
        "webhook_secrets": [snapshot.secret, thin.secret],
    }

    simulator.requests.clear()
    again = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--apply")
    assert set(actions_of(again.json["steps"]).values()) == {"keep"}
    assert {request.method for request in simulator.requests} == {"GET"}


@pytest.mark.parametrize(
    ("event_name", "window", "formula"),
    [
        ("temperature_readings", None, "sum"),
        ("temperature_readings", "hour", "last"),
        ("active_sensors", "hour", "sum"),
    ],
)
def test_a_meter_that_would_bill_wrongly_is_refused_and_nothing_is_changed(
    event_name: str, window: str | None, formula: str, simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    meter = {"event_name": event_name, "display_name": "x", "default_aggregation": {"formula": formula}}
    simulator.account.meters.create(meter | ({"event_time_window": window} if window else {}))
    ran = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--apply")
    assert ran.code == 1
    (refused,) = [step for step in ran.json["steps"] if step["action"] == "refuse"]
    assert refused["subject"] == f"meter {event_name}"
    assert "another event name" in refused["detail"]
    assert len(simulator.account.meters.objects) == 1
    assert not destinations_of(simulator)


def test_drift_is_told_and_mended(simulator: Simulator, secrets_manager: Any, operate: Operate) -> None:
    operate("provision", "--webhook-url", WEBHOOK_URL, "--apply")
    account = simulator.account
    meter, other = (
        next(meter for meter in account.meters.objects.values() if meter["event_name"] == event_name)
        for event_name in ("active_sensors", "temperature_readings")
    )
    account.meters.update(meter["id"], {"display_name": "Sensors"})
    account.meters.deactivate(other["id"])
    account.products.update("sensor_monitoring", {"name": "Old name", "active": "false"})
    price = next(iter(account.prices.objects.values()))
    account.prices.update(price["id"], {"active": "false"})
    snapshot, thin = sorted(destinations_of(simulator), key=lambda destination: destination.payload)
    snapshot.enabled_events = ["invoice.paid", "charge.failed"]
    thin.enabled = False
    extra = {"currency": "eur", "unit_amount": "1", "product": "sensor_monitoring", "recurring": {"interval": "month"}}
    account.prices.create(extra)
    account.meters.create({"event_name": "doors", "display_name": "x", "default_aggregation": {"formula": "sum"}})

    planned = operate("--json", "provision", "--webhook-url", WEBHOOK_URL)
    details = {
        " ".join(step["subject"].split()[:2]): (step["action"], step["detail"]) for step in planned.json["steps"]
    }
    assert details["meter active_sensors"] == ("update", "display name 'Sensors' → 'Active sensors'")
    assert details["meter temperature_readings"] == ("update", "reactivate it")
    assert details["product sensor_monitoring"] == ("update", "name Old name → Sensor monitoring, active False → True")
    assert details["price active_sensors_monthly"] == ("update", "active False → True")
    assert details["thin destination"] == ("update", "enable it")
    assert "-charge.failed" in details["snapshot destination"][1]
    assert "+customer.subscription.deleted" in details["snapshot destination"][1]
    assert sum(action == "note" for action, _ in details.values()) == 2

    mended = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--apply")
    assert set(actions_of(mended.json["steps"]).values()) == {"keep", "note"}
    assert sorted(snapshot.enabled_events) == sorted(SNAPSHOT_EVENT_TYPES)
    assert thin.enabled


def test_a_price_that_would_have_to_change_is_refused(
    simulator: Simulator, secrets_manager: Any, operate: Operate, tmp_path: Path
) -> None:
    operate("provision", "--webhook-url", WEBHOOK_URL, "--apply")
    file = tmp_path / "catalogue.toml"
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    file.write_text(text.replace('"150"', '"200"'), encoding="utf-8")
    ran = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--catalogue", str(file), "--apply")
    assert ran.code == 1
    (refused,) = [step for step in ran.json["steps"] if step["action"] == "refuse"]
    assert refused["detail"].startswith("unit_amount 150 → 200; Stripe cannot change that")


def test_an_interrupted_apply_is_finished_by_the_next(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    rule = simulator.faults.add("cut_after_effect", "/v1/*", method="POST", nth=list(range(1, 40, 2)))
    rule_v2 = simulator.faults.add("cut_after_effect", "/v2/*", method="POST", nth=[1, 3])
    for _ in range(20):
        if operate("provision", "--webhook-url", WEBHOOK_URL, "--apply").code == 0:
            break
    assert rule.used > 3
    assert rule_v2.used > 0
    simulator.faults.clear()
    assert operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--check").code == 0
    assert len(simulator.account.meters.objects) == len(simulator.account.prices.objects) == len(METERS)
    signing = {destination.secret for destination in destinations_of(simulator)}
    assert len(signing) == 2
    assert signing <= set(stored_secrets(secrets_manager)["webhook_secrets"])
