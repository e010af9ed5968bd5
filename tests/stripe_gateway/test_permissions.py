"""What a key may do is asked without an effect."""

from __future__ import annotations

import re

import pytest

from billing.errors import StripeKeyError, StripeUnavailableError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.permissions import PERMISSIONS, Lack, lacking_permissions
from stripe_simulator import Simulator
from tests.structure.sources import ROOT
from tests.support.secrets import fixed_secrets

pytestmark = pytest.mark.enable_socket
MESSAGE = "The key rk_test_abc does not have the required permissions. Having rak_price_read would help."


@pytest.fixture
def gateway(simulator: Simulator) -> StripeGateway:
    return StripeGateway(fixed_secrets("rk_test_x"), simulator.base_url, simulator.base_url)


def test_a_key_that_may_do_all_lacks_nothing_and_nothing_is_done(simulator: Simulator, gateway: StripeGateway) -> None:
    assert list(lacking_permissions(gateway)) == []
    assert len(simulator.requests) == len(PERMISSIONS)
    assert {request.status for request in simulator.requests if request.method == "POST"} <= {400, 404}
    assert simulator.requests.unknown == []


def test_what_is_asked_for_is_what_the_page_on_deploying_has_a_key_made_with() -> None:
    page = " ".join((ROOT / "docs" / "deploy.md").read_text("utf-8").split())
    listed = re.search(r"may \*\*write\*\*: (.*?); and \*\*read\*\*: (.*?)\. Put", page)
    assert listed is not None
    writes, reads = (re.sub(r" \([^)]*\)", "", text).split(", ") for text in listed.groups())

    assert {resource for resource, access, _ in PERMISSIONS if access == "write"} == set(writes)
    assert {resource for resource, _, _ in PERMISSIONS} == {*writes, *reads}


def test_what_it_may_not_do_is_named_by_resource(simulator: Simulator, gateway: StripeGateway) -> None:
    simulator.faults.add("http_403", "/v1/prices", method="GET", message=MESSAGE)
    simulator.faults.add("http_403", "/v1/billing/meter_events", method="POST", message="No.")
    assert list(lacking_permissions(gateway)) == [
        Lack("Billing meter events", "write", None),
        Lack("Prices", "read", "rak_price_read"),
    ]


def test_a_key_that_does_not_work_is_one_error(simulator: Simulator, gateway: StripeGateway) -> None:
    simulator.faults.add("http_401")
    with pytest.raises(StripeKeyError):
        list(lacking_permissions(gateway))


def test_no_response_says_nothing_of_the_key(simulator: Simulator, gateway: StripeGateway) -> None:
    simulator.faults.add("http_503")
    with pytest.raises(StripeUnavailableError) as raised:
        list(lacking_permissions(gateway))
    assert not isinstance(raised.value, StripeKeyError)


def test_the_errors_message_has_nothing_of_the_key(simulator: Simulator, gateway: StripeGateway) -> None:
    simulator.faults.add("http_403", message=MESSAGE)
    with pytest.raises(StripeKeyError) as raised:
        gateway.once(lambda client: client.v1.prices.retrieve("x"))
    assert "rk_test" not in str(raised.value)
    assert "rak_price_read" in str(raised.value)
