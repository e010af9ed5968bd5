"""The customer portal's configuration, as provisioning makes and mends it."""

from __future__ import annotations

from typing import Any

import pytest

from stripe_simulator import Simulator
from tests.operations.conftest import Operate

pytestmark = pytest.mark.usefixtures("simulator")
SUBJECT = "portal configuration"


def _portal(operate: Operate, *options: str) -> Any:
    (step,) = [
        step for step in operate("--json", "provision", *options).json["steps"] if step["subject"].startswith(SUBJECT)
    ]
    return step


def test_a_configuration_is_made_that_ends_subscriptions_at_the_periods_end(
    simulator: Simulator, operate: Operate
) -> None:
    configurations = simulator.account.portal_configurations
    default = configurations.create({"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}})
    assert _portal(operate)["action"] == "create"
    assert len(configurations.objects) == 1, "a plan changes nothing"

    assert _portal(operate, "--apply")["action"] == "keep"
    _, made = configurations.objects.values()
    assert made["metadata"] == {"managed_by": "sensor-billing"}
    assert made["features"]["subscription_cancel"]["mode"] == "at_period_end"
    assert made["features"]["subscription_cancel"]["enabled"]
    assert made["features"]["invoice_history"]["enabled"]
    assert not made["features"]["subscription_update"]["enabled"]
    assert configurations.retrieve(default["id"]) == default, "the account's own is left as it is"
    _portal(operate, "--apply")
    assert len(configurations.objects) == 2


def test_what_was_changed_is_told_and_mended(simulator: Simulator, operate: Operate) -> None:
    _portal(operate, "--apply")
    configurations = simulator.account.portal_configurations
    (made,) = configurations.objects.values()
    changed = {"subscription_cancel": {"mode": "immediately"}, "customer_update": {"allowed_updates": ["email"]}}
    configurations.update(made["id"], {"features": changed})

    planned = _portal(operate)
    assert planned["action"] == "update"
    assert "subscription_cancel.mode immediately → at_period_end" in planned["detail"]
    assert "customer_update.allowed_updates email → address,email,name,tax_id" in planned["detail"]
    assert operate("provision", "--check").code == 1
    assert _portal(operate, "--apply")["action"] == "keep"
    assert operate("provision", "--check").code == 0


def test_one_that_was_switched_off_gets_a_successor(simulator: Simulator, operate: Operate) -> None:
    _portal(operate, "--apply")
    configurations = simulator.account.portal_configurations
    (made,) = configurations.objects.values()
    configurations.update(made["id"], {"active": "false"})
    assert _portal(operate)["action"] == "create"
    assert _portal(operate, "--apply")["action"] == "keep"
