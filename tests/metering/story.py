"""A story of usage, told on DynamoDB Local and the simulator, in which any call of the system can be made to fail.

Every call to DynamoDB and to Stripe is numbered, and a `Fault` says what becomes of one of them: one of
`tests/support/faults.py`, or what others do before it (`meanwhile.py`). Executors run inline, so that the same faults
always meet the same calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from billing import clock, get_stripe_meter_service
from billing.comparison_requests import ComparisonRequest
from billing.metering import invocation, service
from billing.metering.invocation import process_shards
from billing.reconciliation.invocation import carry_out
from billing.tables.table import client, is_transient
from billing.tables.usage import UsageRecord, end_of, shard_of
from programs.local.inline_executor import InlineExecutor
from tests.metering.ending import Ending, differences, name_of
from tests.metering.meanwhile import OVERLAPS, Compared, Corrected, Linked, Meanwhile, Overlapped, Reported
from tests.support.caches import forget_cached
from tests.support.calls import LIFETIME, STRIPE, Call, Crash, Disturbance, hook
from tests.support.due_hours import due_hour, link, put
from tests.support.faults import CRASHES, AtStripe, CrashBefore, NoResponse, Partial, Retried, Throttled

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

START = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
NINE, TEN, ELEVEN = (f"2026-11-23T{hour:02}:00:00Z" for hour in (9, 10, 11))
# Named so that all of them are in few shards: a shard costs a query in every run.
PLAIN, LATE, MOVED, FLIPPED, UNLINKED = "plain-3", "late-5", "moved-1", "flipped", "unlinked-6"
LINKED = (PLAIN, LATE, MOVED, FLIPPED)
SHARDS = sorted({shard_of(name) for name in (*LINKED, UNLINKED)})
MOST_RECOVERIES = 4

FIRST_USAGE = (
    (PLAIN, 3, 120, clock.parse_time(TEN)),
    (PLAIN, 4, 10, clock.parse_time(ELEVEN)),
    (LATE, 5, 50, clock.parse_time(TEN)),
    (MOVED, 7, 70, clock.parse_time(TEN)),
    (FLIPPED, 5, None, clock.parse_time(ELEVEN)),
    (UNLINKED, 1, None, clock.parse_time(TEN)),
)

DYNAMODB_FAULTS: tuple[Disturbance, ...] = (
    *CRASHES,
    Throttled(),
    Partial(),
    NoResponse(has_effect=True),
    Retried(),
)
STRIPE_FAULTS: tuple[Disturbance, ...] = (
    *CRASHES,
    AtStripe("http_409"),
    AtStripe("http_429"),
    AtStripe("http_500"),
    AtStripe("http_500_after_effect"),
    AtStripe("cut_before_effect"),
    AtStripe("cut_after_effect"),
    AtStripe("not_json_after_effect"),
    AtStripe("http_500", is_down=True),
    AtStripe("http_500_after_effect", is_down=True),
    AtStripe("cut_after_effect", is_down=True),
)


@dataclass(frozen=True, slots=True)
class AnyFault:
    """One of those that the call can meet."""

    number: int


Kind = Disturbance | Meanwhile | AnyFault


@dataclass(frozen=True, slots=True)
class Fault:
    """A call, counted from 1 through the whole story, and what becomes of it."""

    call: int
    kind: Kind


@dataclass
class Story:
    """The story, told with faults. `calls` has the name of every call the system made so far."""

    stack: Stack
    dynamodb: DynamoDBClient
    faults: dict[int, Kind] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    # When each process began that is at work now, the outermost first.
    _began: list[datetime] = field(default_factory=list)

    # --- the world

    def begin(self, most_recent: str) -> None:
        """Put everything to the start: meters, customers, and the usage that nobody was told of yet."""
        simulator = self.stack.simulator
        simulator.reset()
        simulator.clock.set(START)
        simulator.settings.update({"most_recent": most_recent})
        self.stack.make_meters()
        self.stack.add_destinations()
        self.stack.customers = {
            organization_id: {simulator.account.customers.create({})["id"]} for organization_id in LINKED
        }
        self.dynamodb.delete_item(TableName="SubscriptionsTable", Key={"organization_id": {"S": UNLINKED}})
        # The simulator's event ids are the same every time.
        for key in self.dynamodb.scan(TableName="StripeEventsTable", ProjectionExpression="event_id")["Items"]:
            self.dynamodb.delete_item(TableName="StripeEventsTable", Key=key)
        for organization_id, window_start in ((LATE, NINE), (MOVED, ELEVEN)):
            key = {"organization_id": {"S": organization_id}, "window_start": {"S": window_start}}
            self.dynamodb.delete_item(TableName="UsageTable", Key=key)
        links = [link(name, next(iter(customers))) for name, customers in self.stack.customers.items()]
        put(self.dynamodb, "SubscriptionsTable", links)
        put(self.dynamodb, "UsageTable", [due_hour(*hour) for hour in FIRST_USAGE])

    def write(self, organization_id: str, window_start: str, changes: str, **values: int) -> None:
        """Write usage as a writer in any language would."""
        separator = "," if changes.startswith("SET") else " SET"
        self.dynamodb.update_item(
            TableName="UsageTable",
            Key={"organization_id": {"S": organization_id}, "window_start": {"S": window_start}},
            UpdateExpression=f"{changes}{separator} due_shard = :shard, due_at = :end",
            ExpressionAttributeValues={
                ":shard": {"N": str(shard_of(organization_id))},
                ":end": {"S": end_of(window_start)},
                **{f":{name}": {"N": str(value)} for name, value in values.items()},
            },
        )

    def set_sensors(self, organization_id: str, window_start: str, number: int) -> None:
        self.write(organization_id, window_start, "SET active_sensors = :number", number=number)

    def correct(self, by: int) -> None:
        """Correct the number of sensors of hours that the first, the third and the last run send."""
        for organization_id, window_start in ((PLAIN, TEN), (FLIPPED, ELEVEN), (MOVED, TEN)):
            self.write(organization_id, window_start, "ADD active_sensors :by", by=by)

    def move(self) -> None:
        """Give an organisation another customer, as the webhook would record it."""
        customer_id = self.stack.simulator.account.customers.create({})["id"]
        self.stack.customers[MOVED].add(customer_id)
        self.dynamodb.update_item(
            TableName="SubscriptionsTable",
            Key={"organization_id": {"S": MOVED}},
            UpdateExpression="SET stripe_customer_id = :customer ADD version :one",
            ExpressionAttributeValues={":customer": {"S": customer_id}, ":one": {"N": "1"}},
        )

    # --- the stories

    def tell(
        self, script: Callable[[Story], None], faults: Iterable[Fault] = (), most_recent: str = "arrival"
    ) -> Ending:
        """Tell a whole story with these faults, then let runs succeed, and look what came of it."""
        self.faults, self.calls = {fault.call: fault.kind for fault in faults}, []
        self.begin(most_recent)
        script(self)
        return self._recovered()

    # --- what happens in them

    def run(self) -> None:
        """Let a run happen that may fail or die."""
        self.in_a_process(lambda: process_shards(SHARDS, clock.utc_now()))

    def compare(self) -> None:
        """Let a comparison happen that may fail or die."""
        self.in_a_process(self._compared)

    def _compared(self) -> dict[str, Any]:
        end = clock.hour_of(clock.utc_now())
        return carry_out(ComparisonRequest(end - timedelta(days=1), end)).as_dict()

    def link(self) -> None:
        """Let Stripe attempt each delivery that has not succeeded yet."""
        waiting = [each for each in self.stack.simulator.webhooks.deliveries.values() if not each.delivered]
        self.in_a_process(lambda: self.stack.deliver_all(waiting))

    def report(self, by: int) -> None:
        """Let the service report the flipped organisation's hour, changed by a number, at once."""
        number = int(UsageRecord.get(FLIPPED, ELEVEN, consistent_read=True).active_sensors) + by
        service = get_stripe_meter_service()
        moment = clock.parse_time(ELEVEN)
        self.in_a_process(lambda: service.report_active_sensors_with_timestamp(FLIPPED, number, moment))

    def in_a_process(self, invoke: Callable[[], object]) -> None:
        # Another process has another gateway, with a session of its own; whatever else is kept of one would hold its
        # open connection, for thousands of stories.
        forget_cached("billing.stripe_gateway")
        self._began.append(clock.utc_now())
        try:
            invoke()
        except Crash:
            pass
        except BatchProcessingError:
            pass  # every message of the batch failed: SQS delivers them again
        except Exception as error:
            if not is_transient(error):
                raise
        finally:
            self._began.pop()
            forget_cached("billing.stripe_gateway")
            self.stack.simulator.faults.clear()

    def _recovered(self) -> Ending:
        """Let deliveries, hourly runs and daily comparisons succeed, and say how many of them it took."""
        calls, self.faults = list(self.calls), {}
        self.link()
        recovery_runs = 0
        while self.due() and recovery_runs < MOST_RECOVERIES:
            self.stack.advance(hours=1)
            self.run()
            recovery_runs += 1
        repairs = 0
        while True:
            self.stack.advance(hours=1, minutes=1)
            differing, due, drift = differences(self.stack, self.items()), self.due(), self._compared()
            if not drift["made_due"] or repairs == MOST_RECOVERIES:
                return Ending(differing, due, drift, recovery_runs, repairs, calls)
            repairs += 1
            for _ in range(MOST_RECOVERIES):
                if self.due():
                    self.stack.advance(hours=1)
                    self.run()

    # --- what came of it

    def items(self) -> list[dict[str, Any]]:
        """Return all hours as they are stored."""
        return self.dynamodb.scan(TableName="UsageTable", ConsistentRead=True)["Items"]

    def due(self) -> list[str]:
        """Return the hours that are due."""
        return [name_of(item) for item in self.items() if "due_at" in item]

    # --- the calls

    @contextmanager
    def instrumented(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
        """Number every call of the system, and run its executors inline."""
        with monkeypatch.context() as patched:
            patched.setattr(invocation, "ThreadPoolExecutor", InlineExecutor)
            patched.setattr(service, "ThreadPoolExecutor", InlineExecutor)
            calls = hook(patched, only=client())
            calls.stripe_faults = self.stack.simulator.faults
            with calls.watched(self._disturbed):
                yield self

    def _disturbed(self, _: int, call: Call) -> Disturbance | None:
        self.calls.append(call.name)
        fault = self.faults.pop(len(self.calls), None)
        if isinstance(fault, AnyFault):
            choices = faults_for(call.name)
            fault = choices[fault.number % len(choices)]
        if isinstance(fault, Corrected | Overlapped | Reported | Compared | Linked):
            rules = list(self.stack.simulator.faults.rules)
            fault.happen(self)
            # The process that came between has cleared them.
            self.stack.simulator.faults.rules.extend(rules)
            # What came between may have taken longer than AWS Lambda lets a function run.
            is_over = self._began and clock.utc_now() > self._began[-1] + LIFETIME
            return CrashBefore() if is_over else None
        return fault


def faults_for(call: str) -> Sequence[Disturbance | Meanwhile]:
    """Return every fault that a call can meet."""
    return (*(STRIPE_FAULTS if call == STRIPE else DYNAMODB_FAULTS), *OVERLAPS)
