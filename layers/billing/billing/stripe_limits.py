"""Stripe's limits that several places have to know."""

from __future__ import annotations

from datetime import timedelta

# Of a meter event's timestamp: https://docs.stripe.com/api/billing/meter-event/create
OLDEST_USAGE = timedelta(days=35)
# Of events that can be retrieved and listed: https://docs.stripe.com/api/events
EVENTS_KEPT = timedelta(days=30)
