"""Stripe's limits that several places have to know."""

from __future__ import annotations

from datetime import timedelta

# Of a meter event's timestamp, in the past and in the future, and of its value, which may have 15 digits:
# https://docs.stripe.com/api/billing/meter-event/create
OLDEST_USAGE = timedelta(days=35)
FUTURE_USAGE = timedelta(minutes=5)
LARGEST_VALUE = 10**15 - 1
# Of events that can be retrieved and listed: https://docs.stripe.com/api/events
EVENTS_KEPT = timedelta(days=30)
