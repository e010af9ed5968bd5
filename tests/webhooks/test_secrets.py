"""A key or a secret is rotated under a function that lives: it goes on with what it knows, and finds what is new."""

from __future__ import annotations

import time

import pytest

from billing.errors import ConfigurationError, StripeUnavailableError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.customers import has_customer
from billing.stripe_gateway.meter_events import MeterEvents
from billing.stripe_secrets import SECRET_MAX_AGE_SECONDS, SECRET_REFRESH_SECONDS, SecretsReader, StripeSecrets
from stripe_simulator import Simulator

OLD, NEW = "sk_test_old", "sk_test_new"


class Store:
    """What Secrets Manager has, and how often it was asked."""

    def __init__(self) -> None:
        self.api_key = OLD
        self.is_down = False
        self.reads = 0

    def read(self) -> StripeSecrets:
        self.reads += 1
        if self.is_down:
            raise ConfigurationError("The secret cannot be read")
        return StripeSecrets(self.api_key, (f"whsec_of_{self.api_key}",))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reader(store: Store, now: list[float]) -> SecretsReader:
    return SecretsReader(store.read)


def test_secrets_are_read_again_every_hour(reader: SecretsReader, store: Store, now: list[float]) -> None:
    assert reader.current().api_key == OLD
    store.api_key = NEW
    now[0] += SECRET_MAX_AGE_SECONDS
    assert reader.current().api_key == OLD
    now[0] += 1
    assert reader.current().api_key == NEW
    assert store.reads == 2


def test_good_secrets_stay_in_use_as_long_as_there_are_no_newer_ones(
    reader: SecretsReader, store: Store, now: list[float]
) -> None:
    reader.current()
    store.is_down, store.api_key = True, NEW
    for _ in range(3):
        now[0] += SECRET_MAX_AGE_SECONDS + 1
        assert reader.current().api_key == OLD
        assert reader.refreshed() is None
    store.is_down = False
    now[0] += SECRET_REFRESH_SECONDS
    assert reader.current().api_key == NEW


def test_a_reader_that_never_had_secrets_says_so(reader: SecretsReader, store: Store) -> None:
    store.is_down = True

    with pytest.raises(ConfigurationError):
        reader.current()


def test_an_outage_asks_secrets_manager_once_a_minute(reader: SecretsReader, store: Store, now: list[float]) -> None:
    reader.current()
    store.is_down = True
    now[0] += SECRET_MAX_AGE_SECONDS + 1
    for _ in range(50):
        reader.current()
    assert store.reads == 2


# ------------------------------------------------------------------------------------------------ the gateway


def statuses(simulator: Simulator) -> list[int | None]:
    return [request.status for request in simulator.requests if request.method == "GET"]


@pytest.fixture
def gateway(simulator: Simulator, reader: SecretsReader) -> StripeGateway:
    return StripeGateway(reader, simulator.base_url, simulator.base_url)


def test_a_gateway_follows_the_key_that_the_reader_has(
    gateway: StripeGateway, simulator: Simulator, store: Store, now: list[float]
) -> None:
    has_customer(gateway, "cus_1")
    store.api_key = NEW
    now[0] += SECRET_MAX_AGE_SECONDS + 1
    simulator.account.revoked_api_keys.add(OLD)

    has_customer(gateway, "cus_1")

    assert statuses(simulator) == [404, 404]


def test_a_key_that_stripe_no_longer_accepts_is_looked_up_and_the_call_made_again(
    gateway: StripeGateway, simulator: Simulator, store: Store, now: list[float]
) -> None:
    has_customer(gateway, "cus_1")
    store.api_key = NEW
    simulator.account.revoked_api_keys.add(OLD)
    now[0] += SECRET_REFRESH_SECONDS

    has_customer(gateway, "cus_1")

    assert statuses(simulator) == [404, 401, 404]


def test_a_key_that_nobody_replaced_is_an_error_that_a_later_call_may_heal(
    gateway: StripeGateway, simulator: Simulator, store: Store, now: list[float]
) -> None:
    has_customer(gateway, "cus_1")
    simulator.account.revoked_api_keys.add(OLD)
    for _ in range(5):
        with pytest.raises(StripeUnavailableError, match="API key"):
            has_customer(gateway, "cus_1")
    assert store.reads == 1, "within the minute after it was read"


def test_an_expired_session_of_the_stream_is_no_matter_of_the_key(
    gateway: StripeGateway, simulator: Simulator, store: Store, now: list[float]
) -> None:
    customer_id = simulator.account.customers.create({})["id"]
    events = MeterEvents(gateway)
    event = {"event_name": "none", "payload": {"stripe_customer_id": customer_id, "value": "1"}}
    events.stream([event | {"identifier": "1"}])
    now[0] += SECRET_REFRESH_SECONDS
    simulator.settings.update({"session_expired_type": "invalid_request_error"})
    simulator.clock.advance(3600)
    events.stream([event | {"identifier": "2"}])

    assert len(simulator.requests.to("POST /v2/billing/meter_event_session")) == 2
