"""Test clocks: customers that live by a time of their own, https://docs.stripe.com/billing/testing/test-clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.parameters import Params, integer, page_limit, text
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized
from stripe_simulator.timeline import Timeline

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/test_helpers/test_clocks"
_KEPT_SECONDS = 30 * 86400


@synchronized
class TestClocks(Resource):
    """The account's test clocks; `timelines` has what is due on each."""

    __test__ = False
    resource_name = "test clock"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.timelines: dict[str, Timeline] = {}

    def create(self, params: Params) -> StripeObject:
        """Create a clock that stands at `frozen_time`; `customer` is attached to it.

        Raises:
            ApiError: 400 without a time, or for a customer that has a clock.
        """
        frozen_time, customer_id = integer(params, "frozen_time"), text(params, "customer")
        if frozen_time is None:
            raise missing_parameter("frozen_time")
        if customer_id is not None:
            self.account.customers.require(customer_id, "customer")
            if self.account.customers.objects[customer_id]["test_clock"]:
                raise invalid_parameter("customer", "The customer is attached to a test clock already.")
        now = int(self.account.now())
        clock: StripeObject = {
            "id": self.account.new_id("clock", 24),
            "object": "test_helpers.test_clock",
            "created": now,
            "deletes_after": now + _KEPT_SECONDS,
            "frozen_time": frozen_time,
            "livemode": False,
            "name": text(params, "name"),
            "status": "ready",
            "status_details": {},
        }
        self.objects[clock["id"]] = clock
        self.timelines[clock["id"]] = Timeline(lambda: clock["frozen_time"])
        if customer_id is not None:
            self.account.customers.objects[customer_id]["test_clock"] = clock["id"]
        self.account.events.emit("test_helpers.test_clock.created", clock)
        return copied(clock)

    def retrieve(self, clock_id: str) -> StripeObject:
        """Return a clock, or raise a 404."""
        return copied(self._find(clock_id))

    def require(self, clock_id: str, param: str) -> None:
        """Raise a 400 `resource_missing` that names the parameter, unless the clock exists."""
        self._find(clock_id, param, 400)

    def list(self, params: Params) -> StripeObject:
        """List clocks, newest first."""
        page_limit(params)
        return copied(page(reversed(self.objects.values()), params, URL))

    def advance(self, clock_id: str, params: Params) -> StripeObject:
        """Move a clock on to `frozen_time`: it is `advancing`, and at the next request `ready`.

        Raises:
            ApiError: 400 for a time that is not later, or while it is advancing.
        """
        clock, frozen_time = self._find(clock_id), integer(params, "frozen_time")
        if frozen_time is None:
            raise missing_parameter("frozen_time")
        if clock["status"] != "ready":
            raise ApiError(400, "The test clock is advancing: wait until its status is `ready`.")
        if frozen_time <= clock["frozen_time"]:
            raise invalid_parameter("frozen_time", "A test clock can only be advanced to a later time.")
        clock.update(status="advancing", status_details={"advancing": {"target_frozen_time": frozen_time}})
        self.account.events.emit("test_helpers.test_clock.advancing", clock)
        self.account.schedule(self.account.now(), lambda: self._arrive(clock, frozen_time))
        return copied(clock)

    def _arrive(self, clock: StripeObject, frozen_time: int) -> None:
        timeline = self.timelines.get(clock["id"])
        if timeline is None:
            return
        clock["frozen_time"] = frozen_time
        with self.account.on_clock(clock["id"]):
            timeline.catch_up()
        clock.update(status="ready", status_details={})
        self.account.events.emit("test_helpers.test_clock.ready", clock)

    def delete(self, clock_id: str) -> StripeObject:
        """Delete a clock and its customers, which ends their subscriptions."""
        clock = self._find(clock_id)
        for customer in list(self.account.customers.objects.values()):
            if customer.get("test_clock") == clock_id:
                self.account.customers.delete(customer["id"])
        del self.objects[clock_id], self.timelines[clock_id]
        self.account.events.emit("test_helpers.test_clock.deleted", clock)
        return {"id": clock_id, "object": "test_helpers.test_clock", "deleted": True}
