from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from billing.errors import ConfigurationError
from billing.stripe_gateway.calls import API_VERSION
from billing.stripe_gateway.signatures import verify_signature
from billing.stripe_secrets import secrets_reader
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES
from stripe_simulator import Simulator
from tests.operations.conftest import (
    WEBHOOK_URL,
    Operate,
    actions_of,
    destinations_of,
    stored_secrets,
)

pytestmark = pytest.mark.usefixtures("simulator")


def test_what_was_provisioned_delivers_what_the_functions_can_verify(
    simulator: Simulator, secrets_manager: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    operate("provision", "--webhook-url", WEBHOOK_URL, "--apply")
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


def test_a_destination_whose_secret_is_lost_is_replaced_and_old_secrets_stay(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    operate("provision", "--webhook-url", WEBHOOK_URL, "--apply")
    lost = {destination.id for destination in destinations_of(simulator)}
    secrets_manager.put_secret_value(
        SecretId="stripe", SecretString='{"api_key": "rk_test_x", "webhook_secrets": ["whsec_other"], "note": 1}'
    )
    planned = operate("--json", "provision", "--webhook-url", WEBHOOK_URL)
    assert actions_of(planned.json["steps"])["snapshot destination"] == "replace"
    assert operate("provision", "--webhook-url", WEBHOOK_URL, "--apply").code == 0
    assert len(destinations_of(simulator)) == 2
    assert lost.isdisjoint(destination.id for destination in destinations_of(simulator))
    assert stored_secrets(secrets_manager) == {
        "api_key": "rk_test_x",
        "webhook_secrets": ["whsec_other", *(destination.secret for destination in destinations_of(simulator))],
        "note": 1,
    }


def test_rotation_replaces_both_destinations_and_keeps_the_old_secrets(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    operate("provision", "--webhook-url", WEBHOOK_URL, "--apply")
    old = stored_secrets(secrets_manager)["webhook_secrets"]
    assert operate("provision", "--webhook-url", WEBHOOK_URL, "--apply", "--rotate-secrets").code == 0
    assert [destination.secret for destination in destinations_of(simulator)] == stored_secrets(secrets_manager)[
        "webhook_secrets"
    ][2:]
    assert stored_secrets(secrets_manager)["webhook_secrets"][:2] == old


def test_another_api_version_means_another_destination(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    simulator.webhooks.add_destination(WEBHOOK_URL, enabled_events=list(SNAPSHOT_EVENT_TYPES), api_version="2024-06-20")
    planned = operate("--json", "provision", "--webhook-url", WEBHOOK_URL)
    (step,) = [step for step in planned.json["steps"] if step["action"] == "replace"]
    assert step["detail"].startswith(f"API version 2024-06-20 → {API_VERSION}")


def test_a_destination_is_unmade_when_its_secret_cannot_bestored_secrets(
    simulator: Simulator, operate: Operate, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"api_key": "sk_test_x", "webhook_secrets": []}')
    import operations.provisioning.secrets as secrets

    with pytest.MonkeyPatch.context() as patch:

        def full(*_: object) -> None:
            raise ConfigurationError("The disk is full")

        patch.setattr(secrets.FileStore, "save", full)
        ran = operate("provision", "--webhook-url", WEBHOOK_URL, "--secrets-file", str(file), "--apply")
    assert ran.code == 1
    assert "The disk is full" in ran.err
    assert not destinations_of(simulator)
    assert operate("provision", "--webhook-url", WEBHOOK_URL, "--secrets-file", str(file), "--apply").code == 0


def test_a_secret_that_is_damaged_is_refused_without_its_text(secrets_manager: Any, operate: Operate) -> None:
    secrets_manager.put_secret_value(SecretId="stripe", SecretString="sk_live_oops")
    ran = operate("provision", "--webhook-url", WEBHOOK_URL)
    assert ran.code == 1
    assert "is not of the form" in ran.err
    assert "sk_live_oops" not in ran.err + ran.out


def test_a_file_of_secrets_is_its_owners_only(simulator: Simulator, operate: Operate, tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    assert operate("provision", "--webhook-url", WEBHOOK_URL, "--secrets-file", str(file), "--apply").code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    values = json.loads(file.read_text())
    assert values["webhook_secrets"] == [destination.secret for destination in destinations_of(simulator)]


def test_destinations_made_by_hand_and_of_other_stacks_are_left_alone(
    simulator: Simulator, secrets_manager: Any, operate: Operate
) -> None:
    by_hand = simulator.webhooks.add_destination(
        WEBHOOK_URL, enabled_events=list(SNAPSHOT_EVENT_TYPES), api_version=API_VERSION
    )
    elsewhere = simulator.webhooks.add_destination(
        "https://other.example.com/stripe/webhook", metadata={"managed_by": "sensor-billing"}
    )
    ran = operate("--json", "provision", "--webhook-url", WEBHOOK_URL, "--apply")
    notes = {step["subject"]: step["detail"] for step in ran.json["steps"] if step["action"] == "note"}
    assert "cannot be told" in notes[f"snapshot destination {by_hand.id}"]
    assert "delete it if that stack is gone" in notes[f"snapshot destination {elsewhere.id}"]
    assert {by_hand.id, elsewhere.id} < {destination.id for destination in destinations_of(simulator)}
