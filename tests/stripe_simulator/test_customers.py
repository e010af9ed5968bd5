"""Customers: created, changed, searched, listed in pages, deleted."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator

pytestmark = pytest.mark.enable_socket


def test_customers_are_created_changed_listed_and_deleted(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"name": "One", "metadata": {"organization_id": "org_1", "old": "1"}})
    changed = client.v1.customers.update(made.id, {"metadata": {"old": "", "new": "2"}, "email": "b@example.com"})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"organization_id": "org_1", "new": "2"}
    assert [one.id for one in client.v1.customers.list({"email": "b@example.com"}).data] == [made.id]
    assert client.v1.customers.delete(made.id).deleted is True
    assert client.v1.customers.retrieve(made.id).deleted is True
    assert client.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_unknown")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_search_finds_customers_by_metadata_after_its_lag(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.settings.search_lag_seconds = 60
    made = client.v1.customers.create({"metadata": {"organization_id": "org_1"}})
    query: Any = {"query": "metadata['organization_id']:'org_1'"}
    assert client.v1.customers.search(query).data == []
    simulator.clock.advance(60)
    assert [one.id for one in client.v1.customers.search(query).data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.search({"query": "anything"})


def test_lists_page_newest_first_with_cursors(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(25)]
    assert [one.id for one in client.v1.customers.list().data] == made[:14:-1]
    assert [one.id for one in client.v1.customers.list({"limit": 7}).auto_paging_iter()] == made[::-1]
    before = client.v1.customers.list({"limit": 3, "ending_before": made[0]})
    assert [one.id for one in before.data] == made[3:0:-1]
