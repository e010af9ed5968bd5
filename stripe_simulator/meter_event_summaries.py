"""Meter event summaries: what Stripe counted for a customer and meter.

https://docs.stripe.com/api/billing/meter-event-summary/list: newest first, and only the hours or days with usage.
"""

from __future__ import annotations

from stripe_simulator.errors import invalid_parameter
from stripe_simulator.meter_events import WINDOW_SECONDS
from stripe_simulator.parameters import Params, integer, one_of, required
from stripe_simulator.resources import Resource, StripeObject, page, synchronized


@synchronized
class Summaries(Resource):
    """What the account's meter events add up to; nothing is stored here."""

    resource_name = "meter event summary"

    def list(self, meter_id: str, params: Params) -> StripeObject:
        """List summaries of a customer for `start_time` (inclusive) to `end_time` (exclusive), in Unix seconds.

        Raises:
            ApiError: 404 for the meter; 400 for an unknown customer or times that are not aligned.
        """
        meter = self.account.meters.retrieve(meter_id)
        customer = str(required(params, "customer"))
        self.account.customers.require(customer, "customer")
        required(params, "start_time")
        required(params, "end_time")
        start, end = integer(params, "start_time") or 0, integer(params, "end_time") or 0
        grouping = one_of(params, "value_grouping_window", ("hour", "day"))
        aligned = WINDOW_SECONDS[grouping] if grouping else 60
        for name, moment in (("start_time", start), ("end_time", end)):
            if moment % aligned:
                raise invalid_parameter(name, f"{name} must be aligned with {grouping or 'minute'} boundaries")
        if start >= end:
            raise invalid_parameter("end_time", "end_time must be after start_time")
        events = self.account.meter_events
        name = meter["event_name"]
        if grouping:
            values = events.windows(customer, name, WINDOW_SECONDS[grouping], start, end)
            spans = [(at, at + WINDOW_SECONDS[grouping], value) for at, value in values.items()]
        else:
            spans = [(start, end, events.aggregate(customer, name, start, end))]
        summaries = [self._summary(meter_id, customer, *span) for span in reversed(spans)]
        return page(summaries, params, f"/v1/billing/meters/{meter_id}/event_summaries")

    def _summary(self, meter_id: str, customer: str, start: int, end: int, value: int) -> StripeObject:
        return {
            "id": f"mtrusg_test_{meter_id[-8:]}{customer[4:]}{start}x{end}",
            "object": "billing.meter_event_summary",
            "aggregated_value": float(value),
            "end_time": end,
            "livemode": False,
            "meter": meter_id,
            "start_time": start,
        }
