"""What an integration does to an invoice: holds its draft, hurries it, stops it, voids it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import DRAFTED, HOUR, MONTH_END

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]


def status(client: stripe.StripeClient, invoice: Any) -> str | None:
    return client.v1.invoices.retrieve(invoice.id).status


@pytest.mark.parametrize("seconds", [60, HOUR // 2, 3 * HOUR, 72 * HOUR])
def test_a_draft_is_finalised_at_the_time_that_was_set_last(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, send: Callable[..., Any], seconds: int
) -> None:
    client.v1.invoices.update(draft.id, {"automatically_finalizes_at": DRAFTED + 2 * HOUR})
    changed = client.v1.invoices.update(draft.id, {"automatically_finalizes_at": DRAFTED + seconds})
    assert (changed.status, changed.automatically_finalizes_at) == ("draft", DRAFTED + seconds)
    simulator.clock.set(DRAFTED + seconds - 1)
    send(draft.customer, 150)
    assert status(client, draft) == "draft"
    simulator.clock.set(DRAFTED + seconds)
    final = client.v1.invoices.retrieve(draft.id)
    assert (final.status, final.automatically_finalizes_at, final.lines.data[0].quantity) == ("paid", None, 150)
    assert final.status_transitions.finalized_at == DRAFTED + seconds
    simulator.clock.advance(100 * HOUR)
    assert event_types(simulator).count("invoice.finalized") == 1


def test_a_draft_that_does_not_advance_waits_until_it_may_again(
    client: stripe.StripeClient, simulator: Simulator, draft: Any
) -> None:
    stopped = client.v1.invoices.update(draft.id, {"auto_advance": False})
    assert (stopped.auto_advance, stopped.automatically_finalizes_at) == (False, None)
    simulator.clock.advance(100 * HOUR)
    assert status(client, draft) == "draft"
    goes_on = client.v1.invoices.update(draft.id, {"auto_advance": True})
    assert goes_on.automatically_finalizes_at == DRAFTED + 101 * HOUR
    simulator.clock.advance(HOUR)
    assert status(client, draft) == "paid"


def test_a_draft_that_does_not_advance_is_finalised_by_hand_and_then_paid_by_hand(
    client: stripe.StripeClient, draft: Any
) -> None:
    final = client.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False})
    assert (final.status, final.attempted, final.auto_advance) == ("open", False, False)
    assert client.v1.invoices.update(draft.id, {"auto_advance": True}).auto_advance is True
    paid = client.v1.invoices.pay(draft.id)
    assert (paid.status, paid.auto_advance) == ("paid", False)


def test_an_update_emits_what_changed_and_nothing_where_nothing_did(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, send: Callable[..., Any]
) -> None:
    send(draft.customer, 150)
    params: Any = {"metadata": {"kept": "yes"}, "description": "Readings", "automatically_finalizes_at": DRAFTED + 9}
    for _ in range(2):
        changed = client.v1.invoices.update(draft.id, params).to_dict()
    assert (changed["metadata"], changed["description"]) == ({"kept": "yes"}, "Readings")
    assert changed["lines"]["data"][0]["quantity"] == 150
    (event,) = client.v1.events.list({"type": "invoice.updated"}).data
    assert event.data.object["automatically_finalizes_at"] == DRAFTED + 9
    assert event.data.to_dict()["previous_attributes"] == {
        "metadata": {},
        "description": None,
        "automatically_finalizes_at": MONTH_END + HOUR,
    }


@pytest.mark.parametrize("at", [DRAFTED, DRAFTED - 1, DRAFTED + 6 * 366 * 24 * HOUR])
def test_a_draft_is_finalised_in_the_future_and_within_five_years(
    client: stripe.StripeClient, draft: Any, at: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="in the future") as caught:
        client.v1.invoices.update(draft.id, {"automatically_finalizes_at": at, "description": "a"})
    assert (caught.value.http_status, caught.value.param) == (400, "automatically_finalizes_at")
    unchanged = client.v1.invoices.retrieve(draft.id)
    assert (unchanged.automatically_finalizes_at, unchanged.description) == (MONTH_END + HOUR, None)


def test_a_draft_that_does_not_advance_takes_no_time(client: stripe.StripeClient, draft: Any) -> None:
    at = DRAFTED + HOUR
    with pytest.raises(stripe.InvalidRequestError, match="auto_advance"):
        client.v1.invoices.update(draft.id, {"auto_advance": False, "automatically_finalizes_at": at})
    client.v1.invoices.update(draft.id, {"auto_advance": False})
    with pytest.raises(stripe.InvalidRequestError, match="auto_advance"):
        client.v1.invoices.update(draft.id, {"automatically_finalizes_at": at})
    both = client.v1.invoices.update(draft.id, {"auto_advance": True, "automatically_finalizes_at": at})
    assert both.automatically_finalizes_at == at


@pytest.mark.parametrize(
    "params", [{"auto_advance": False}, {"automatically_finalizes_at": DRAFTED + HOUR}, {"description": "late"}]
)
def test_a_paid_invoice_takes_metadata_only(client: stripe.StripeClient, draft: Any, params: Any) -> None:
    client.v1.invoices.finalize_invoice(draft.id)
    with pytest.raises(stripe.InvalidRequestError, match="Finalized invoices can't be updated in this way"):
        client.v1.invoices.update(draft.id, params | {"metadata": {"late": "no"}})
    changed = client.v1.invoices.update(draft.id, {"metadata": {"late": "yes"}})
    assert changed.to_dict()["metadata"] == {"late": "yes"}


def test_an_open_invoice_may_stop_to_advance_and_takes_no_time(client: stripe.StripeClient, open_invoice: Any) -> None:
    assert client.v1.invoices.update(open_invoice.id, {"auto_advance": False}).auto_advance is False
    with pytest.raises(stripe.InvalidRequestError, match="Finalized invoices"):
        client.v1.invoices.update(open_invoice.id, {"automatically_finalizes_at": DRAFTED + HOUR})


def test_an_update_with_the_same_idempotency_key_comes_again(
    client: stripe.StripeClient, simulator: Simulator, draft: Any
) -> None:
    params: Any = {"automatically_finalizes_at": DRAFTED + 2 * HOUR}
    first = client.v1.invoices.update(draft.id, params, {"idempotency_key": "hold"})
    client.v1.invoices.update(draft.id, {"automatically_finalizes_at": DRAFTED + 3 * HOUR})
    again = client.v1.invoices.update(draft.id, params, {"idempotency_key": "hold"})
    assert again == first
    assert client.v1.invoices.retrieve(draft.id).automatically_finalizes_at == DRAFTED + 3 * HOUR


def test_an_open_invoice_is_voided_once(client: stripe.StripeClient, simulator: Simulator, open_invoice: Any) -> None:
    voided = client.v1.invoices.void_invoice(open_invoice.id)
    assert (voided.status, voided.auto_advance, voided.next_payment_attempt) == ("void", False, None)
    assert voided.status_transitions.voided_at == DRAFTED
    assert event_types(simulator)[-2:] == ["invoice.updated", "invoice.voided"]
    with pytest.raises(stripe.InvalidRequestError, match="This invoice is void"):
        client.v1.invoices.void_invoice(open_invoice.id)


def test_an_uncollectible_invoice_is_voided_or_paid_after_all(
    client: stripe.StripeClient, simulator: Simulator, open_invoice: Any
) -> None:
    lost = client.v1.invoices.mark_uncollectible(open_invoice.id)
    assert (lost.status, lost.status_transitions.marked_uncollectible_at) == ("uncollectible", DRAFTED)
    assert event_types(simulator)[-1] == "invoice.marked_uncollectible"
    with pytest.raises(stripe.InvalidRequestError, match="This invoice is uncollectible"):
        client.v1.invoices.mark_uncollectible(open_invoice.id)
    simulator.account.customers.set_payment_outcome(open_invoice.customer, "paid")
    assert client.v1.invoices.pay(open_invoice.id).status == "paid"


def test_a_refusal_with_the_same_idempotency_key_comes_again(
    client: stripe.StripeClient, simulator: Simulator, draft: Any
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="This invoice is draft"):
        client.v1.invoices.void_invoice(draft.id, {}, {"idempotency_key": "void"})
    client.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False})
    with pytest.raises(stripe.InvalidRequestError, match="This invoice is draft"):
        client.v1.invoices.void_invoice(draft.id, {}, {"idempotency_key": "void"})
    assert client.v1.invoices.void_invoice(draft.id).status == "void"


def test_an_uncollectible_invoice_is_voided(client: stripe.StripeClient, open_invoice: Any) -> None:
    client.v1.invoices.mark_uncollectible(open_invoice.id)
    assert client.v1.invoices.void_invoice(open_invoice.id).status == "void"


@pytest.mark.parametrize("final", [False, True])
def test_drafts_and_paid_invoices_are_neither_voided_nor_written_off_nor_deleted(
    client: stripe.StripeClient, draft: Any, final: bool
) -> None:
    if final:
        client.v1.invoices.finalize_invoice(draft.id)
    for refused in (client.v1.invoices.void_invoice, client.v1.invoices.mark_uncollectible, client.v1.invoices.delete):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            refused(draft.id)
        assert caught.value.http_status == 400
    assert status(client, draft) == ("paid" if final else "draft")


@pytest.mark.parametrize("call", ["update", "void_invoice", "mark_uncollectible", "delete"])
def test_an_unknown_invoice_is_a_404(client: stripe.StripeClient, call: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        getattr(client.v1.invoices, call)("in_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_a_draft_made_in_a_pause_that_keeps_drafts_waits_for_a_call(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    client.v1.subscriptions.update(session.subscription, {"pause_collection": {"behavior": "keep_as_draft"}})
    send(session.customer, 7)
    simulator.clock.set(MONTH_END + 100 * HOUR)
    (kept,) = client.v1.invoices.list({"customer": session.customer}).data
    assert (kept.status, kept.auto_advance, kept.automatically_finalizes_at) == ("draft", False, None)
    client.v1.invoices.update(kept.id, {"auto_advance": True})
    simulator.clock.advance(HOUR)
    assert status(client, kept) == "paid"
