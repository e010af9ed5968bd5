"""Meters: what is counted, how it is aggregated, and whether it is pre-aggregated by hour or day.

https://docs.stripe.com/api/billing/meter
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.parameters import Params, mapping, one_of, page_limit, required, text
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/billing/meters"
LONGEST_EVENT_NAME = 100


@synchronized
class Meters(Resource):
    """The account's meters; `by_name` finds one by its event name, active or not."""

    resource_name = "billing meter"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.by_name: dict[str, StripeObject] = {}

    def create(self, params: Params) -> StripeObject:
        """Create a meter; without `event_time_window` it is raw: every event counts.

        Raises:
            ApiError: 400 for a bad value, or an event name that another meter already has.
        """
        event_name = str(required(params, "event_name"))
        required(params, "display_name")
        formula = one_of(mapping(params, "default_aggregation"), "formula", ("sum", "count", "last"))
        if formula is None:
            raise missing_parameter("default_aggregation[formula]")
        self._check_event_name(event_name)
        meter = self._new(event_name, formula, params)
        self.objects[meter["id"]] = meter
        self.by_name[event_name] = meter
        self.account.events.emit("billing.meter.created", meter)
        return copied(meter)

    def _check_event_name(self, event_name: str) -> None:
        if len(event_name) > LONGEST_EVENT_NAME:
            raise invalid_parameter(
                "event_name", f"Invalid string: event_name must be at most {LONGEST_EVENT_NAME} characters"
            )
        if event_name in self.by_name:
            raise ApiError(
                400, f"A meter already exists with event name `{event_name}`.", param="event_name", saved=True
            )

    def _new(self, event_name: str, formula: str, params: Params) -> StripeObject:
        now = int(self.account.now())
        customer_key = text(mapping(params, "customer_mapping"), "event_payload_key") or "stripe_customer_id"
        value_key = text(mapping(params, "value_settings"), "event_payload_key") or "value"
        return {
            "id": self.account.new_id("mtr_test", 32),
            "object": "billing.meter",
            "created": now,
            "customer_mapping": {"event_payload_key": customer_key, "type": "by_id"},
            "default_aggregation": {"formula": formula},
            "display_name": str(required(params, "display_name")),
            "event_name": event_name,
            "event_time_window": one_of(params, "event_time_window", ("hour", "day")),
            "livemode": False,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": now,
            "value_settings": {"event_payload_key": value_key},
        }

    def retrieve(self, meter_id: str) -> StripeObject:
        """Return a meter, or raise a 404."""
        return copied(self._find(meter_id))

    def list(self, params: Params) -> StripeObject:
        """List meters, newest first, by `status` where given."""
        status = one_of(params, "status", ("active", "inactive"))
        page_limit(params)
        matching = [meter for meter in reversed(self.objects.values()) if status in (None, meter["status"])]
        return copied(page(matching, params, URL))

    def update(self, meter_id: str, params: Params) -> StripeObject:
        """Change the display name, the only thing Stripe lets change.

        Raises:
            ApiError: 400 for any other parameter.
        """
        meter = self._find(meter_id)
        for name in params:
            if name not in ("display_name", "expand"):
                raise invalid_parameter(name, f"Received unknown parameter: {name}", "parameter_unknown")
        meter["display_name"] = text(params, "display_name") or meter["display_name"]
        meter["updated"] = int(self.account.now())
        self.account.events.emit("billing.meter.updated", meter)
        return copied(meter)

    def deactivate(self, meter_id: str) -> StripeObject:
        """Stop a meter: its events are refused from now on."""
        meter = self._find(meter_id)
        now = int(self.account.now())
        meter.update(status="inactive", status_transitions={"deactivated_at": now}, updated=now)
        self.account.events.emit("billing.meter.deactivated", meter)
        return copied(meter)

    def reactivate(self, meter_id: str) -> StripeObject:
        """Start a stopped meter again."""
        meter = self._find(meter_id)
        meter.update(status="active", status_transitions={"deactivated_at": None}, updated=int(self.account.now()))
        self.account.events.emit("billing.meter.reactivated", meter)
        return copied(meter)
