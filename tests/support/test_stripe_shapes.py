"""The comparison with the SDK finds what is broken on purpose, on either side, and names the place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from billing.stripe_gateway.calls import StripeGateway
from stripe_simulator import Account, Simulator
from stripe_simulator.faults import KINDS, Faults
from stripe_simulator.request_log import LoggedRequest
from stripe_simulator.routes import ROUTES
from tests.support.secrets import fixed_secrets
from tests.support.stripe_shapes import (
    LEFT_OUT,
    ShapeObserver,
    problems_of_error,
    problems_of_event,
    problems_of_request,
    problems_of_result,
)
from tests.support.stripe_types import class_named, fields_of, operation_of

Damage = Callable[[Any], object]

CHECKOUT: dict[str, Any] = {
    "mode": "subscription",
    "line_items": [{"price": "price_1", "quantity": "2"}],
    "subscription_data": {"metadata": {"organization_id": "acme"}},
    "expires_at": "1795435200",
    "allow_promotion_codes": "true",
}
DESTINATION: dict[str, Any] = {
    "name": "hook",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["v1.invoice.paid"],
    "webhook_endpoint": {"url": "https://example.com"},
}


@pytest.fixture
def account() -> Account:
    """Return an account with a subscription, known as `sub_one`."""
    account = Account()
    customer = account.customers.create({})["id"]
    price = account.prices.create(
        {"currency": "eur", "unit_amount": 1, "recurring": {"interval": "month"}, "product_data": {"name": "Seats"}}
    )
    with account.chosen_ids({"sub": ["sub_one"]}):
        account.subscriptions.create({"customer": customer, "items": [{"price": price["id"], "quantity": 2}]})
    return account


def damaged(value: Any, damage: Damage) -> Any:
    damage(value := copy.deepcopy(value))
    return value


def test_the_sdk_has_every_route_of_the_simulator() -> None:
    assert [route for route in ROUTES if operation_of(route.method, route.path) is None] == []


def test_a_good_request_has_no_problem() -> None:
    assert problems_of_request("POST", "/v1/checkout/sessions", CHECKOUT) == []
    assert problems_of_request("POST", "/v2/core/event_destinations", DESTINATION) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda it: it.update(customer_number="7"), ".customer_number: is unknown"),
        (lambda it: it["subscription_data"].update(organization="a"), ".subscription_data.organization: is unknown"),
        (lambda it: it["line_items"][0].update(quantity="two"), ".line_items[0].quantity: is 'two', not int"),
        (lambda it: it.update(line_items="price_1"), ".line_items: is 'price_1', not a list"),
        (lambda it: it.update(allow_promotion_codes="yes"), ".allow_promotion_codes: is 'yes', not bool"),
        (lambda it: it["subscription_data"].update(metadata="acme"), ".metadata: is 'acme', not a mapping"),
        (lambda it: it.update(mode="subscriptions"), ".mode: is 'subscriptions', not one of"),
    ],
)
def test_a_form_that_is_wrong_is_found(damage: Damage, problem: str) -> None:
    (found,) = problems_of_request("POST", "/v1/checkout/sessions", damaged(CHECKOUT, damage))

    assert problem in found


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda it: it.pop("enabled_events"), ".enabled_events: is missing"),
        (lambda it: it["webhook_endpoint"].pop("url"), ".webhook_endpoint.url: is missing"),
        (lambda it: it["webhook_endpoint"].update(url=7), ".webhook_endpoint.url: is 7, not str"),
        (lambda it: it.update(event_payload="thick"), ".event_payload: is 'thick', not one of 'snapshot', 'thin'"),
    ],
)
def test_json_that_is_wrong_is_found(damage: Damage, problem: str) -> None:
    assert problems_of_request("POST", "/v2/core/event_destinations", damaged(DESTINATION, damage)) == [problem]


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [("POST", "/v1/customer", {}), ("GET", "/v1/customers/search", {"query": "a", "q": "b"})],
)
def test_a_route_or_a_filter_that_stripe_does_not_have_is_found(method: str, path: str, params: Any) -> None:
    assert len(problems_of_request(method, path, params)) == 1


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda it: it.pop("billing_schedules"), ".billing_schedules: is missing"),
        (lambda it: it.pop("pause_collection"), ".pause_collection: is missing"),
        (lambda it: it["items"]["data"][0].pop("plan"), ".items.data[0].plan: is missing"),
        (lambda it: it["items"].pop("has_more"), ".items.has_more: is missing"),
        (lambda it: it.update(current_period_end=1), ".current_period_end: is unknown"),
        (lambda it: it["items"]["data"][0]["price"].update(amount=1), ".items.data[0].price.amount: is unknown"),
        (lambda it: it.update(created="1795435200"), ".created: is '1795435200', not int"),
        (lambda it: it.update(cancel_at=True), ".cancel_at: is True, not int nor NoneType"),
        (lambda it: it.update(livemode=None), ".livemode: is None, not bool"),
        (lambda it: it["items"].update(object="array"), ".items.object: is 'array', not one of 'list'"),
        (lambda it: it.update(customer={"id": "cus_1"}), ".customer.created: is missing"),
        (lambda it: it.update(metadata={"organization_id": 7}), ".metadata.organization_id: is 7, not str"),
        (lambda it: it.update(status="overdue"), ".status: is 'overdue', not one of"),
    ],
)
def test_an_object_that_is_wrong_is_found(account: Account, damage: Damage, problem: str) -> None:
    subscription = account.subscriptions.retrieve("sub_one")
    assert problems_of_result("GET", "/v1/subscriptions/{id}", subscription) == []

    found = problems_of_result("GET", "/v1/subscriptions/{id}", damaged(subscription, damage))

    assert any(each.startswith(problem) for each in found)


def test_a_list_that_is_wrong_is_found(account: Account) -> None:
    listed = account.invoices.list({})
    assert problems_of_result("GET", "/v1/invoices", listed) == []

    def damage(it: Any) -> None:
        it["data"][0]["lines"]["data"][0]["pricing"]["price_details"]["price"] = None
        it["next_page"] = None

    assert problems_of_result("GET", "/v1/invoices", damaged(listed, damage)) == [
        ".data[0].lines.data[0].pricing.price_details.price: is None, not str nor an object",
        ".next_page: is unknown",
    ]


def test_a_deleted_object_has_nothing_else() -> None:
    deleted = {"id": "cus_1", "object": "customer", "deleted": True}
    assert problems_of_result("DELETE", "/v1/customers/{id}", deleted) == []
    deleted.pop("object")
    assert problems_of_result("DELETE", "/v1/customers/{id}", deleted) == [".object: is missing"]


def test_the_stream_responds_with_an_empty_object() -> None:
    assert problems_of_result("POST", "/v2/billing/meter_event_stream", {}) == []
    assert problems_of_result("POST", "/v2/billing/meter_event_stream", {"id": "x"}) == [": is not empty"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda it: it["data"]["object"].pop("schedule"), ".data.object.schedule: is missing"),
        (
            lambda it: it["data"]["object"].update(object="subscribtion"),
            ".data.object.object: the SDK has no subscribtion",
        ),
        (
            lambda it: it["data"].update(previous_attributes={"state": "x"}),
            ".data.previous_attributes.state: is unknown",
        ),
        (
            lambda it: it["data"].update(previous_attributes={"cancel_at": "x"}),
            ".data.previous_attributes.cancel_at: is 'x', not int nor NoneType",
        ),
        (lambda it: it.pop("request"), ".request: is missing"),
        (
            lambda it: it.update(type="customer.subscription.renewed"),
            ".type: is 'customer.subscription.renewed', not one of",
        ),
    ],
)
def test_a_snapshot_that_is_wrong_is_found(account: Account, damage: Damage, problem: str) -> None:
    (event,) = (each for each in account.events.objects.values() if each["type"] == "customer.subscription.created")
    assert problems_of_event(event, delivered=True) == []

    (found,) = problems_of_event(damaged(event, damage), delivered=True)

    assert found.startswith(problem)


@pytest.mark.parametrize("delivered", [True, False])
def test_a_thin_event_has_two_shapes(account: Account, delivered: bool) -> None:
    identifier = account.error_reports.trigger(None, "no_meter", ["one"])
    retrieved = account.events.thin[identifier]
    sent = {name: value for name, value in retrieved.items() if name not in ("data", "snapshot_event", "changes")}

    right, wrong = (sent, retrieved) if delivered else (retrieved, sent)

    assert problems_of_event(right, delivered=delivered) == []
    assert problems_of_event(wrong, delivered=delivered) != []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda it: it.update(related_object=None), ".related_object: is unknown"),
        (lambda it: it.update(type="v1.billing.meter.not_found"), ".type: the SDK has no v1.billing.meter.not_found"),
        (lambda it: it["data"]["reason"].pop("error_count"), ".data.reason.error_count: is missing"),
        (
            lambda it: it["data"]["reason"]["error_types"][0].update(code="odd"),
            ".data.reason.error_types[0].code: is 'odd'",
        ),
    ],
)
def test_a_thin_event_that_is_wrong_is_found(account: Account, damage: Damage, problem: str) -> None:
    event = account.events.thin[account.error_reports.trigger(None, "no_meter", ["one"])]

    (found,) = problems_of_event(damaged(event, damage), delivered=False)

    assert found.startswith(problem)


def test_an_error_that_is_wrong_is_found() -> None:
    error = {"type": "invalid_request_error", "message": "No.", "code": "resource_missing", "param": "id"}
    assert problems_of_error({"error": error}) == []
    assert problems_of_error({"error": {**error, "status": 404}}) == [".error.status: is unknown"]
    assert problems_of_error({"error": {"message": "No."}}) == [".error.type: is missing"]
    assert problems_of_error({"errors": [error]}) == [": is not {'error': …}"]


def test_the_errors_of_faults_are_stripes() -> None:
    kinds = ["http_409", "http_500", *(kind for kind in KINDS if "<" not in kind and kind.startswith("http"))]
    assert [problem for kind in kinds for problem in problems_of_error(_body(kind))] == []


def _body(kind: str) -> Any:
    return json.loads(Faults().add(kind, "*").error_body())


def test_what_is_left_out_is_optional() -> None:
    for object_name, names in LEFT_OUT.items():
        cls = class_named(object_name)
        assert cls is not None, object_name
        assert {name for name in names if fields_of(cls)[name].is_required} == set(), object_name


@pytest.mark.enable_socket
def test_every_test_with_the_simulator_is_watched(simulator: Simulator) -> None:
    (observer,) = simulator.account.observers
    assert isinstance(observer, ShapeObserver)
    gateway = StripeGateway(fixed_secrets("sk_test_watched"), simulator.base_url, simulator.base_url)
    gateway.once(lambda client: client.raw_request("post", "/v1/customers", nmae="Acme"))

    assert list(observer.problems) == ["request POST /v1/customers .nmae: is unknown"]
    observer.problems.clear()


def test_the_observer_looks_at_requests_that_were_accepted_and_at_all_that_was_sent() -> None:
    observer = ShapeObserver()
    request = LoggedRequest(1, 0, "POST", "/v1/customers", "POST /v1/customers", {"nmae": "a"}, None, "req_1", 200)
    observer.exchanged(request, {"id": "cus_1", "object": "customer", "deleted": True})
    request.status = 400
    observer.exchanged(request, {"error": {"message": "No."}})
    observer.emitted({"object": "event", "type": "customer.created"}, delivered=True)

    assert "request POST /v1/customers .nmae: is unknown" in observer.problems
    assert "error of POST /v1/customers .error.type: is missing" in observer.problems
    assert "event customer.created .data: is missing" in observer.problems
