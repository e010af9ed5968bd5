"""The demo's day ends with Stripe's invoice, and its comparison notices when it does not."""

from __future__ import annotations

import pytest

from billing import clock
from programs.demo.day import DAY, Day
from programs.demo.outcome import compare
from programs.demo.picture import draw
from programs.local.stack import running_stack
from stripe_simulator import Simulator


@pytest.mark.usefixtures("dynamodb")
def test_the_day_is_billed_exactly_and_a_lost_hour_is_noticed(
    dynamodb_endpoint: str, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said: list[str] = []
    with running_stack(simulator, dynamodb_endpoint, start=DAY) as stack:
        day = Day(stack, said.append)
        day.live()

        assert compare(day, said.append)
        assert simulator.requests.unknown == []
        assert any("left for later" in line for line in said), "Stripe failed, and nothing came of it"
        picture = tmp_path_factory.mktemp("demo") / "day.png"
        draw(day, picture)
        assert picture.read_bytes().startswith(b"\x89PNG")

        customer_id = str(day.organizations[0].customer_id)
        simulator.account.meter_events.lose_hour(customer_id, "temperature_readings", DAY.timestamp())
        assert not compare(day, said.append)

        simulator.clock.set(clock.utc_now().timestamp() + 7200)
        assert stack.reconcile(start="2026-11-02T00:00:00Z", end="2026-11-03T00:00:00Z")["drift_events"] == 1
        stack.meter()
        stack.meter()  # the newest number once more, after an older one
        assert compare(day, said.append), "reconciliation and the next runs repair it"
