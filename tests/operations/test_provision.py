from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from billing.errors import ConfigurationError
from billing.metering.meter_check import check_meters
from billing.stripe_gateway.calls import API_VERSION, StripeGateway
from billing.stripe_gateway.meters import list_meters
from billing.stripe_gateway.signatures import verify_signature
from billing.stripe_secrets import secrets_reader
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from operations.provisioning.catalogue import DEFAULT_PATH, read_catalogue
from stripe_simulator import Simulator
from tests.operations.conftest import Operate

URL = "https://api.example.com/stripe/webhook"
pytestmark = pytest.mark.usefixtures("simulator")


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch, operate: Operate) -> Iterator[Any]:
    """Give a secret as the template makes it, and point the code at it."""
    with mock_aws():
        client = boto3.client("secretsmanager")
        made = client.create_secret(Name="stripe", SecretString='{"api_key": "", "webhook_secrets": []}')
        monkeypatch.setenv("STRIPE_SECRET_ARN", made["ARN"])
        yield client


def _stored(client: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(client.get_secret_value(SecretId="stripe")["SecretString"])
    return values


def _actions(steps: list[dict[str, str]]) -> dict[str, str]:
    return {" ".join(step["subject"].split()[:2]): step["action"] for step in steps}


def _destinations(simulator: Simulator) -> list[Any]:
    return list(simulator.webhooks.destinations.values())


def test_a_plan_changes_nothing(simulator: Simulator, secrets_manager: Any, operate: Operate) -> None:
    ran = operate("--json", "provision", "--webhook-url", URL)
    assert ran.code == 0
    assert set(_actions(ran.json["steps"]).values()) == {"create"}
    assert not simulator.account.meters.objects
    assert not _destinations(simulator)
    assert _stored(secrets_manager) == {"api_key": "", "webhook_secrets": []}
    assert operate("--json", "provision", "--webhook-url", URL, "--check").code == 1


def test_apply_makes_the_account_and_again_changes_nothing(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    ran = operate("--json", "provision", "--webhook-url", URL, "--apply")
    assert (ran.code, set(_actions(ran.json["steps"]).values())) == (0, {"keep"})

    gateway = StripeGateway("sk_test_x", simulator.base_url)
    assert set(check_meters(list_meters(gateway))) == {"active_sensors", "temperature_readings"}
    assert {meter.event_time_window for meter in list_meters(gateway)} == {"hour"}
    prices = simulator.account.prices.objects
    assert {prices[price_id]["lookup_key"]: prices[price_id]["unit_amount_decimal"] for price_id in prices} == {
        "active_sensors_monthly": "150",
        "temperature_readings_monthly": "0.05",
    }
    assert ran.json["price_ids"] == {price["lookup_key"]: price["id"] for price in prices.values()}

    snapshot, thin = sorted(_destinations(simulator), key=lambda destination: destination.payload)
    assert (snapshot.url, snapshot.api_version) == (URL, API_VERSION)
    assert sorted(snapshot.enabled_events) == sorted(SNAPSHOT_EVENT_TYPES)
    assert (thin.url, sorted(thin.enabled_events)) == (URL, sorted(THIN_EVENT_TYPES))
    assert _stored(secrets_manager) == {
        "api_key": "sk_test_simulator",
        "webhook_secrets": [snapshot.secret, thin.secret],
    }

    simulator.requests.clear()
    again = operate("--json", "provision", "--webhook-url", URL, "--apply")
    assert set(_actions(again.json["steps"]).values()) == {"keep"}
    assert {request.method for request in simulator.requests} == {"GET"}


def test_what_was_provisioned_delivers_what_the_functions_can_verify(
    simulator: Simulator, secrets_manager: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    operate("provision", "--webhook-url", URL, "--apply")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRETS")
    secrets_reader.cache_clear()
    price = next(iter(simulator.account.prices.objects))
    customer = simulator.account.customers.create({})["id"]
    simulator.account.subscriptions.create({"customer": customer, "items": [{"price": price}]})
    deliveries = simulator.webhooks.take()
    assert {delivery.payload for delivery in deliveries} == {"snapshot", "thin"}
    for delivery in deliveries:
        signature = delivery.headers()["Stripe-Signature"]
        assert verify_signature(delivery.body, signature, secrets_reader().current().webhook_secrets)


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
    ran = operate("--json", "provision", "--webhook-url", URL, "--apply")
    assert ran.code == 1
    (refused,) = [step for step in ran.json["steps"] if step["action"] == "refuse"]
    assert refused["subject"] == f"meter {event_name}"
    assert "another event name" in refused["detail"]
    assert len(simulator.account.meters.objects) == 1
    assert not _destinations(simulator)


def test_drift_is_told_and_mended(simulator: Simulator, secrets_manager: Any, operate: Operate) -> None:
    operate("provision", "--webhook-url", URL, "--apply")
    account = simulator.account
    meter, other = list(account.meters.objects.values())
    account.meters.update(meter["id"], {"display_name": "Sensors"})
    account.meters.deactivate(other["id"])
    account.products.update("sensor_monitoring", {"name": "Old name", "active": "false"})
    price = next(iter(account.prices.objects.values()))
    account.prices.update(price["id"], {"active": "false"})
    snapshot, thin = sorted(_destinations(simulator), key=lambda destination: destination.payload)
    snapshot.enabled_events = ["invoice.paid", "charge.failed"]
    thin.enabled = False
    extra = {"currency": "eur", "unit_amount": "1", "product": "sensor_monitoring", "recurring": {"interval": "month"}}
    account.prices.create(extra)
    account.meters.create({"event_name": "doors", "display_name": "x", "default_aggregation": {"formula": "sum"}})

    planned = operate("--json", "provision", "--webhook-url", URL)
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

    mended = operate("--json", "provision", "--webhook-url", URL, "--apply")
    assert set(_actions(mended.json["steps"]).values()) == {"keep", "note"}
    assert sorted(snapshot.enabled_events) == sorted(SNAPSHOT_EVENT_TYPES)
    assert thin.enabled


def test_a_price_that_would_have_to_change_is_refused(
    simulator: Simulator, secrets_manager: Any, operate: Operate, tmp_path: Path
) -> None:
    operate("provision", "--webhook-url", URL, "--apply")
    file = tmp_path / "catalogue.toml"
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    file.write_text(text.replace('"150"', '"200"'), encoding="utf-8")
    ran = operate("--json", "provision", "--webhook-url", URL, "--catalogue", str(file), "--apply")
    assert ran.code == 1
    (refused,) = [step for step in ran.json["steps"] if step["action"] == "refuse"]
    assert refused["detail"].startswith("unit_amount 150 → 200; Stripe cannot change that")


def test_a_destination_whose_secret_is_lost_is_replaced_and_old_secrets_stay(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    operate("provision", "--webhook-url", URL, "--apply")
    lost = {destination.id for destination in _destinations(simulator)}
    secrets_manager.put_secret_value(
        SecretId="stripe", SecretString='{"api_key": "rk_test_x", "webhook_secrets": ["whsec_other"], "note": 1}'
    )
    planned = operate("--json", "provision", "--webhook-url", URL)
    assert _actions(planned.json["steps"])["snapshot destination"] == "replace"
    assert operate("provision", "--webhook-url", URL, "--apply").code == 0
    assert len(_destinations(simulator)) == 2
    assert lost.isdisjoint(destination.id for destination in _destinations(simulator))
    assert _stored(secrets_manager) == {
        "api_key": "rk_test_x",
        "webhook_secrets": ["whsec_other", *(destination.secret for destination in _destinations(simulator))],
        "note": 1,
    }


def test_rotation_replaces_both_destinations_and_keeps_the_old_secrets(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    operate("provision", "--webhook-url", URL, "--apply")
    old = _stored(secrets_manager)["webhook_secrets"]
    assert operate("provision", "--webhook-url", URL, "--apply", "--rotate-secrets").code == 0
    assert [destination.secret for destination in _destinations(simulator)] == _stored(secrets_manager)[
        "webhook_secrets"
    ][2:]
    assert _stored(secrets_manager)["webhook_secrets"][:2] == old


def test_another_api_version_means_another_destination(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    simulator.webhooks.add_destination(URL, enabled_events=list(SNAPSHOT_EVENT_TYPES), api_version="2024-06-20")
    planned = operate("--json", "provision", "--webhook-url", URL)
    (step,) = [step for step in planned.json["steps"] if step["action"] == "replace"]
    assert step["detail"].startswith(f"API version 2024-06-20 → {API_VERSION}")


def test_a_destination_is_unmade_when_its_secret_cannot_be_stored(
    simulator: Simulator, operate: Operate, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"api_key": "sk_test_x", "webhook_secrets": []}')
    import operations.provisioning.secrets as secrets

    with pytest.MonkeyPatch.context() as patch:

        def full(*_: object) -> None:
            raise ConfigurationError("The disk is full")

        patch.setattr(secrets.FileStore, "save", full)
        ran = operate("provision", "--webhook-url", URL, "--secrets-file", str(file), "--apply")
    assert ran.code == 1
    assert "The disk is full" in ran.err
    assert not _destinations(simulator)
    assert operate("provision", "--webhook-url", URL, "--secrets-file", str(file), "--apply").code == 0


def test_an_interrupted_apply_is_finished_by_the_next(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    rule = simulator.faults.add("cut_after_effect", "/v1/*", method="POST", nth=list(range(1, 40, 2)))
    rule_v2 = simulator.faults.add("cut_after_effect", "/v2/*", method="POST", nth=[1, 3])
    for _ in range(20):
        if operate("provision", "--webhook-url", URL, "--apply").code == 0:
            break
    assert rule.used > 3
    assert rule_v2.used > 0
    simulator.faults.clear()
    assert operate("--json", "provision", "--webhook-url", URL, "--check").code == 0
    assert len(simulator.account.meters.objects) == len(simulator.account.prices.objects) == 2
    signing = {destination.secret for destination in _destinations(simulator)}
    assert len(signing) == 2
    assert signing <= set(_stored(secrets_manager)["webhook_secrets"])


def test_a_secret_that_is_damaged_is_refused_without_its_text(secrets_manager: Any, operate: Operate) -> None:
    secrets_manager.put_secret_value(SecretId="stripe", SecretString="sk_live_oops")
    ran = operate("provision", "--webhook-url", URL)
    assert ran.code == 1
    assert "is not of the form" in ran.err
    assert "sk_live_oops" not in ran.err + ran.out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("currency = ", "cannot be read"),
        ("", "currency must be a text"),
        ('currency = "eur"\n[[products]]\nname = "x"', "product 1: id must be a text"),
        ('currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products]]\nid = "a"\nname = "x"', "id twice"),
        (
            'currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products.prices]]\nmeter = "doors"\n'
            'interval = "month"',
            "product 1, price 1: meter is 'doors'",
        ),
        (
            'currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products.prices]]\nmeter = "active_sensors"\n'
            'interval = "month"\nlookup_key = "k"\nunit_amount = "-1"',
            "unit_amount is '-1'",
        ),
    ],
)
def test_the_file_is_refused_with_the_place(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_catalogue(file)


def test_a_file_of_secrets_is_its_owners_only(simulator: Simulator, operate: Operate, tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    assert operate("provision", "--webhook-url", URL, "--secrets-file", str(file), "--apply").code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    values = json.loads(file.read_text())
    assert values["webhook_secrets"] == [destination.secret for destination in _destinations(simulator)]


def test_destinations_made_by_hand_and_of_other_stacks_are_left_alone(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    by_hand = simulator.webhooks.add_destination(
        URL, enabled_events=list(SNAPSHOT_EVENT_TYPES), api_version=API_VERSION
    )
    elsewhere = simulator.webhooks.add_destination(
        "https://other.example.com/stripe/webhook", metadata={"managed_by": "sensor-billing"}
    )
    ran = operate("--json", "provision", "--webhook-url", URL, "--apply")
    notes = {step["subject"]: step["detail"] for step in ran.json["steps"] if step["action"] == "note"}
    assert "cannot be told" in notes[f"snapshot destination {by_hand.id}"]
    assert "delete it if that stack is gone" in notes[f"snapshot destination {elsewhere.id}"]
    assert {by_hand.id, elsewhere.id} < {destination.id for destination in _destinations(simulator)}
