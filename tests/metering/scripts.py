"""The stories: what happens, in its order, while any call may fail."""

from __future__ import annotations

import json

from billing import clock
from tests.metering.story import (
    ELEVEN,
    FLIPPED,
    LATE,
    MOVED,
    NINE,
    PLAIN,
    SHARDS,
    START,
    TEN,
    UNLINKED,
    Story,
)


def usual(story: Story) -> None:
    """Report; then late readings, corrections both ways, a new customer, a queue that delivers twice."""
    story.run()
    story.stack.advance(minutes=5)
    story.write(LATE, TEN, "ADD temperature_readings :late", late=30)
    story.set_sensors(LATE, TEN, 6)
    story.write(LATE, NINE, "ADD temperature_readings :late", late=4)
    story.move()
    story.set_sensors(MOVED, TEN, 2)
    story.write(MOVED, ELEVEN, "ADD temperature_readings :new, active_sensors :new", new=9)
    story.set_sensors(FLIPPED, ELEVEN, 6)
    story.run()
    story.stack.advance(minutes=5)
    story.set_sensors(FLIPPED, ELEVEN, 5)
    story.set_sensors(LATE, TEN, 5)
    _deliver_twice(story)
    story.stack.advance(minutes=50)
    story.set_sensors(MOVED, TEN, 3)
    story.run()


def tampered(story: Story) -> None:
    """Report; then Stripe loses an hour and doubles two, of which one is written again with the same number."""
    story.run()
    story.stack.advance(hours=2)
    _tamper(story)
    story.set_sensors(FLIPPED, ELEVEN, 5)
    story.compare()
    story.run()


def _tamper(story: Story) -> None:
    """Let Stripe lose one hour of the late organisation, and double one of the plain and the flipped one's."""
    events, ten, eleven = story.stack.simulator.account.meter_events, *map(_unix, (TEN, ELEVEN))
    for customer_id in story.stack.customers[LATE]:
        events.lose_hour(customer_id, "temperature_readings", ten)
    for customer_id in story.stack.customers[PLAIN]:
        events.double_hour(customer_id, "temperature_readings", ten)
    for customer_id in story.stack.customers[FLIPPED]:
        events.double_hour(customer_id, "active_sensors", eleven)


def linked_late(story: Story) -> None:
    """Let the webhook that links a customer come when a run has refused the organisation's hour, or meanwhile."""
    story.stack.simulator.clock.set(clock.parse_time(TEN))
    story.stack.subscribe(UNLINKED)
    story.stack.simulator.clock.set(START)
    story.run()
    story.link()
    story.stack.advance(minutes=20)
    story.run()


def _deliver_twice(story: Story) -> None:
    """Let the queue deliver each shard's message twice."""
    until = clock.format_time(clock.utc_now())
    records = [
        {
            "messageId": f"{shard}-{copy}",
            "receiptHandle": "receipt",
            "body": json.dumps({"shard": shard, "until": until}),
            "attributes": {"MessageGroupId": str(shard)},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:UsageMeteringQueue.fifo",
            "awsRegion": "eu-central-1",
        }
        for shard in SHARDS
        for copy in (1, 2)
    ]
    story.in_a_process(lambda: story.stack.metering_app.worker({"Records": records}, None))


def _unix(window_start: str) -> float:
    return clock.parse_time(window_start).timestamp()
