"""What a batch of records becomes that no table of ours has written."""

from __future__ import annotations

from typing import Any

import pytest

from billing.billing_events.stream import tell_batch
from tests.support.event_bus import TestBus

KEYS: dict[str, Any] = {"organization_id": {"S": "acme"}}


def record(number: int, **values: Any) -> dict[str, Any]:
    dynamodb = {"Keys": KEYS, "SequenceNumber": str(number), "ApproximateCreationDateTime": 1.0} | values
    return {"eventID": f"id-{number}", "dynamodb": dynamodb}


WHOLE: dict[str, Any] = {
    **KEYS,
    **{"stripe_subscription_id": {"S": "sub_1"}, "status": {"S": "active"}, "version": {"N": "3"}},
}


@pytest.mark.parametrize(
    "strange",
    [
        {"Keys": {}},
        {"Keys": {"organization_id": {"N": "1"}}},
        {"ApproximateCreationDateTime": "noon", "NewImage": WHOLE},
        {"Keys": KEYS | {"window_start": {}}, "NewImage": WHOLE},
        {"NewImage": {**KEYS, "status": "active"}},
    ],
)
def test_a_record_that_cannot_be_read_is_left_out_and_the_rest_is_told(
    bus: TestBus, capsys: pytest.CaptureFixture[str], strange: dict[str, Any]
) -> None:
    batch = {"Records": [record(1, **strange), record(2, NewImage=WHOLE)]}

    assert tell_batch(batch) == {"batchItemFailures": []}
    assert [event["id"] for event in bus.told("acme", "SubscriptionChanged")] == ["id-2/SubscriptionChanged"]


def test_an_empty_batch_is_done(bus: TestBus) -> None:
    assert tell_batch({"Records": []}) == {"batchItemFailures": []}
    assert bus.calls == []


def test_a_version_that_is_none_is_told_as_none(bus: TestBus) -> None:
    tell_batch({"Records": [record(1, NewImage=WHOLE | {"version": {"S": "many"}})]})

    assert bus.told("acme", "SubscriptionChanged")[0]["record_version"] is None
