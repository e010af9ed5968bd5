"""What an event points at, in every shape it arrives in; and what is refused before anything is read."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import stripe

from billing import stripe_secrets
from billing.errors import NotAStripeDeliveryError
from billing.webhooks.events import INVOICE_CHANGES, Pointer, StripeEvent, subscription_pointer
from billing.webhooks.request import genuine_event, signed_body

SECRETS = ("whsec_snapshot", "whsec_thin")


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_unit")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", ", ".join(SECRETS))


def signature(body: bytes, secret: str = SECRETS[0], age_seconds: int = 0) -> str:
    header: str = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(time.time()) - age_seconds
    )
    return header


def signed(values: Any, secret: str = SECRETS[0]) -> StripeEvent:
    body = json.dumps(values).encode()
    return genuine_event(body, signature(body, secret))


def snapshot(event_type: str, subject: dict[str, Any]) -> StripeEvent:
    return signed({"id": "evt_1", "object": "event", "type": event_type, "created": 1, "data": {"object": subject}})


def thin(event_type: str, subject_id: str = "sub_1") -> StripeEvent:
    values = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": event_type,
        "created": "2026-11-23T08:00:00.123Z",
        "related_object": {"id": subject_id, "type": "subscription", "url": f"/v1/subscriptions/{subject_id}"},
    }
    return signed(values, SECRETS[1])


SUBSCRIPTION = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "metadata": {}}
MARKED = {"organization_id": "acme"}


@pytest.mark.parametrize("change", ["created", "updated", "deleted", "paused", "resumed"])
def test_a_subscription_change_points_at_its_subscription(change: str) -> None:
    event = snapshot(f"customer.subscription.{change}", SUBSCRIPTION | {"metadata": MARKED})

    assert subscription_pointer(event) == Pointer("sub_1", "cus_1", "acme")
    assert subscription_pointer(thin(f"v1.customer.subscription.{change}")) == Pointer("sub_1", None, None)


@pytest.mark.parametrize("customer", [{"id": "cus_1", "object": "customer"}, "cus_1"])
def test_an_expanded_object_counts_as_its_id(customer: Any) -> None:
    event = snapshot("customer.subscription.updated", SUBSCRIPTION | {"customer": customer})

    assert subscription_pointer(event) == Pointer("sub_1", "cus_1", None)


@pytest.mark.parametrize("event_type", [*INVOICE_CHANGES, "invoice.paid", "invoice.payment_failed"])
@pytest.mark.parametrize(
    "reference",
    [
        {"parent": {"subscription_details": {"subscription": "sub_1", "metadata": MARKED}}},
        {"parent": {"subscription_details": {"subscription": {"id": "sub_1"}, "metadata": MARKED}}},
        {"subscription": "sub_1", "subscription_details": {"metadata": MARKED}},
        {"subscription": {"id": "sub_1"}, "subscription_details": {"metadata": MARKED}},
    ],
)
def test_an_invoice_points_at_its_subscription_in_every_api_version(event_type: str, reference: dict[str, Any]) -> None:
    event = snapshot(event_type, {"id": "in_1", "customer": "cus_1", **reference})

    assert subscription_pointer(event) == Pointer("sub_1", "cus_1", "acme")


def test_of_a_checkout_the_sellers_word_comes_before_the_buyers() -> None:
    session = {"id": "cs_1", "mode": "subscription", "customer": "cus_1", "subscription": "sub_1"}

    both = session | {"client_reference_id": "acme", "metadata": {"organization_id": "other"}}
    metadata_only = session | {"client_reference_id": None, "metadata": MARKED}
    reference_only = session | {"client_reference_id": "acme"}
    for completed, pointer in (
        (both, Pointer("sub_1", "cus_1", "other")),
        (metadata_only, Pointer("sub_1", "cus_1", "acme")),
        (reference_only, Pointer("sub_1", "cus_1", "acme", is_buyers_word=True)),
        (session, Pointer("sub_1", "cus_1", None)),
    ):
        assert subscription_pointer(snapshot("checkout.session.completed", completed)) == pointer


@pytest.mark.parametrize("name", ["", "x" * 201, ".hidden", "a/b", "a\nb", "ä", 7])
def test_what_cannot_be_an_organisations_id_names_none(name: object) -> None:
    session = {"id": "cs_1", "mode": "subscription", "customer": "cus_1", "subscription": "sub_1"}

    for named in ({"client_reference_id": name}, {"metadata": {"organization_id": name}}):
        pointer = subscription_pointer(snapshot("checkout.session.completed", session | named))
        assert pointer == Pointer("sub_1", "cus_1", None)


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("checkout.session.completed", {"id": "cs_1", "mode": "setup", "customer": "cus_1", "subscription": None}),
        ("checkout.session.completed", {"id": "cs_1", "mode": "payment"}),
        ("invoice.paid", {"id": "in_1", "customer": "cus_1", "parent": None}),
        ("invoice.upcoming", {"id": "in_1", "subscription": "sub_1"}),
        ("customer.subscription.trial_will_end", SUBSCRIPTION),
        ("customer.created", {"id": "cus_1"}),
        ("customer.subscription.updated", {}),
        ("customer.subscription.updated", {"id": 7}),
        ("customer.subscription.updated", {"id": ["sub_1"]}),
    ],
)
def test_an_event_about_no_subscription_points_nowhere(event_type: str, subject: dict[str, Any]) -> None:
    assert subscription_pointer(snapshot(event_type, subject)) is None


def test_the_time_is_read_from_both_kinds_of_event() -> None:
    assert snapshot("invoice.paid", {}).created == 1
    assert thin("v1.customer.subscription.updated").created == 1795420800


@pytest.mark.parametrize("created", [None, "soon", -1, 1e300, [], {}, float("nan")])
def test_an_event_without_a_usable_time_is_still_an_event(created: Any) -> None:
    values = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": created}

    assert signed(values).created is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        7,
        None,
        "event",
        {},
        {"object": "event"},
        {"object": "event", "id": "evt_1"},
        {"object": "event", "id": 7, "type": "invoice.paid"},
        {"object": "event", "id": "", "type": "invoice.paid"},
        {"object": "event", "id": "e" * 256, "type": "invoice.paid"},
        {"object": "event", "id": "evt\x00", "type": "invoice.paid"},
        {"object": "list", "id": "evt_1", "type": "invoice.paid"},
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(values: Any) -> None:
    with pytest.raises(NotAStripeDeliveryError):
        signed(values)


@pytest.mark.parametrize(
    "body", [b"{", b"not json", b"[" * 200_000, b"\x00" * 1_000_000, b'{"id": ' + b"9" * 6000 + b"}"]
)
def test_a_signed_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotAStripeDeliveryError):
        genuine_event(body, signature(body))


BODY = b'{"id": "evt_1", "object": "event", "type": "invoice.paid"}'


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "v1=00",
        "t=,v1=",
        "t=x,v1=00",
        "t=1,v1=" + "0" * 64,
        "t=" + "9" * 5000 + ",v1=00",
        "t=1,v1=\xe9",
        "t=1,v0=" + "0" * 64,
        ",,,=,=",
        signature(BODY, "whsec_other"),
        signature(BODY, age_seconds=301),
        signature(BODY + b" "),
        signature(BODY).replace("v1=", "v0="),
    ],
    # Signatures are of this second, and every worker has to find the same names.
    ids=[f"header-{number}" for number in range(15)],
)
def test_a_body_without_a_matching_signature_is_refused(header: str | None) -> None:
    with pytest.raises(NotAStripeDeliveryError):
        genuine_event(BODY, header)


def test_any_of_several_signatures_and_secrets_will_do() -> None:
    wrong = "v1=" + "0" * 64
    timestamp, right = signature(BODY, SECRETS[1]).split(",")

    assert genuine_event(BODY, f"{timestamp},{wrong},{right}").event_id == "evt_1"


def test_a_rotated_secret_is_fetched_once_and_a_flood_of_bad_signatures_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRETS")
    monkeypatch.setenv("STRIPE_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:1:secret:stripe")
    stored = stripe_secrets.StripeSecrets("sk_test_unit", ("whsec_old",))
    fetches = []

    def fetch(arn: str) -> stripe_secrets.StripeSecrets:
        fetches.append(arn)
        return stored

    clock = [1000.0]
    monkeypatch.setattr(stripe_secrets, "_fetch_secret", fetch)
    monkeypatch.setattr("billing.stripe_secrets.time.monotonic", lambda: clock[0])
    assert genuine_event(BODY, signature(BODY, "whsec_old")).event_id == "evt_1"
    assert len(fetches) == 1

    stored = stripe_secrets.StripeSecrets("sk_test_unit", ("whsec_new", "whsec_old"))
    clock[0] += stripe_secrets.SECRET_REFRESH_SECONDS
    assert genuine_event(BODY, signature(BODY, "whsec_new")).event_id == "evt_1"
    assert len(fetches) == 2

    for _ in range(50):
        with pytest.raises(NotAStripeDeliveryError):
            genuine_event(BODY, signature(BODY, "whsec_forged"))
    assert len(fetches) == 2


def test_the_body_is_taken_as_it_was_signed() -> None:
    encoded = base64.b64encode(BODY).decode()

    assert signed_body({"body": BODY.decode(), "headers": {"STRIPE-signature": "t"}}) == (BODY, "t")
    assert signed_body({"body": encoded, "isBase64Encoded": True, "headers": None}) == (BODY, None)


@pytest.mark.parametrize(
    "http_event",
    [
        None,
        [],
        "body",
        {},
        {"body": None},
        {"body": ""},
        {"body": {"id": "evt_1"}},
        {"body": "no base64!", "isBase64Encoded": True},
        {"body": "ü", "isBase64Encoded": True},
        {"body": "abc", "isBase64Encoded": True},
        {"body": "\ud800"},
    ],
)
def test_a_request_without_a_readable_body_is_refused(http_event: Any) -> None:
    with pytest.raises(NotAStripeDeliveryError):
        signed_body(http_event)


@pytest.mark.parametrize("headers", [None, [], {}, {"Stripe-Signature": None}, {"Stripe-Signature": ["t"]}, {7: "t"}])
def test_odd_headers_are_no_signature(headers: Any) -> None:
    assert signed_body({"body": "{}", "headers": headers}) == (b"{}", None)
