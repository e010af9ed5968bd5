"""A story of usage, told on DynamoDB Local and the simulator, in which any call of the system can be made to fail.

Every call to DynamoDB and to Stripe is numbered. A `Fault` says what becomes of one of them:

    crash_before, crash_after        the process dies there; what it held in memory is gone
    throttled, partial               DynamoDB refuses the call, or does half of a batch
    lost, retried                    DynamoDB did it and the answer is lost; or the SDK then asked again
    http_409, cut_after_effect, …    the simulator's faults, for this call
    down:http_500, …                 the same for all of Stripe's calls until the run ends
    count:+1, …                      before it, counts are corrected
    overlap:+1, overlap:+1-1, …      before it, counts are corrected by each number in turn, with a whole run of another
                                     process after each; `later` lets ten minutes pass first, `between` leaves out the
                                     last of the runs
    report:+1, …                     before it, another process reports a changed count through the service
    any:0, any:1, …                  one of those above that the call can meet
    compare:, link:                  before it, another process compares with Stripe; or a webhook links a customer

Executors run inline, so that the same faults always meet the same calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError, ReadTimeoutError

from billing import clock, get_stripe_meter_service
from billing.metering import invocation, service
from billing.metering.invocation import process_shards
from billing.reconciliation.invocation import carry_out
from billing.reconciliation.requests import ComparisonRequest
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.tables import table
from billing.tables.table import is_transient
from billing.tables.usage import UsageRecord, end_of, shard_of

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

DYNAMODB_FAULTS = ("crash_before", "crash_after", "throttled", "partial", "lost", "retried")
STRIPE_FAULTS = (
    "crash_before",
    "crash_after",
    "http_409",
    "http_429",
    "http_500",
    "http_500_after_effect",
    "cut_before_effect",
    "cut_after_effect",
    "not_json_after_effect",
    "down:http_500",
    "down:http_500_after_effect",
    "down:cut_after_effect",
)
MEANWHILE = ("overlap", "later", "count", "between", "report", "compare", "link")
OVERLAPS = (
    "overlap:+1",
    "overlap:-1",
    "overlap:+1-1",
    "later:+1",
    "later:-1+1",
    "count:+1",
    "count:-1",
    "between:+1+1-2",
    "between:-1+2",
    "report:+1",
    "report:-1+1",
)


class Crash(BaseException):
    """Be the end of a process: no `except Exception` sees it."""


class InlineExecutor:
    """Make the calls of an executor one after the other, in this thread."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        return iter([function(*arguments) for arguments in zip(*iterables, strict=True)])


@dataclass(frozen=True, slots=True)
class Fault:
    """Name a call, counted from 1 through the whole story, and what becomes of it."""

    call: int
    kind: str


@dataclass
class Ending:
    """Say how a story ended: what differs, what is still due, what reconciliation found, and how it went."""

    differences: list[str]
    due: list[str]
    drift: Mapping[str, Any]
    recovery_runs: int
    repairs: int
    calls: list[str]

    @property
    def is_exact(self) -> bool:
        """Say whether Stripe counts what was counted, nothing is due, and reconciliation agrees."""
        found = self.drift["drift_events"], self.drift["failures"], self.drift["made_due"]
        return not self.differences and not self.due and found == (0, 0, 0) and self.drift["hours"] >= 5


@dataclass
class Story:
    """Tell the story, with faults. `calls` has the name of every call the system made so far."""

    stack: Stack
    dynamodb: DynamoDBClient
    faults: dict[int, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

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
        puts: dict[str, list[Any]] = {"SubscriptionsTable": [], "UsageTable": []}
        for organization_id, customers in self.stack.customers.items():
            item = {"organization_id": {"S": organization_id}, "version": {"N": "1"}}
            item["stripe_customer_id"] = {"S": next(iter(customers))}
            puts["SubscriptionsTable"].append({"PutRequest": {"Item": item}})
        for organization_id, window_start, sensors, readings in (
            (PLAIN, TEN, 3, 120),
            (PLAIN, ELEVEN, 4, 10),
            (LATE, TEN, 5, 50),
            (MOVED, TEN, 7, 70),
            (FLIPPED, ELEVEN, 5, None),
            (UNLINKED, TEN, 1, None),
        ):
            counts = {"active_sensors": sensors, "temperature_readings": readings}
            item = {
                "organization_id": {"S": organization_id},
                "window_start": {"S": window_start},
                "due_shard": {"N": str(shard_of(organization_id))},
                "due_at": {"S": end_of(window_start)},
                **{name: {"N": str(number)} for name, number in counts.items() if number is not None},
            }
            puts["UsageTable"].append({"PutRequest": {"Item": item}})
        puts["SubscriptionsTable"].append({"DeleteRequest": {"Key": {"organization_id": {"S": UNLINKED}}}})
        # The simulator's event ids are the same every time.
        for key in self.dynamodb.scan(TableName="StripeEventsTable", ProjectionExpression="event_id")["Items"]:
            self.dynamodb.delete_item(TableName="StripeEventsTable", Key=key)
        for organization_id, window_start in ((LATE, NINE), (MOVED, ELEVEN)):
            key = {"organization_id": {"S": organization_id}, "window_start": {"S": window_start}}
            puts["UsageTable"].append({"DeleteRequest": {"Key": key}})
        self.dynamodb.batch_write_item(RequestItems=puts)

    def write(self, organization_id: str, window_start: str, changes: str, **values: int) -> None:
        """Write usage as a writer in any language would."""
        self.dynamodb.update_item(
            TableName="UsageTable",
            Key={"organization_id": {"S": organization_id}, "window_start": {"S": window_start}},
            UpdateExpression=f"{changes} SET due_shard = :shard, due_at = :end",
            ExpressionAttributeValues={
                ":shard": {"N": str(shard_of(organization_id))},
                ":end": {"S": end_of(window_start)},
                **{f":{name}": {"N": str(value)} for name, value in values.items()},
            },
        )

    def set_sensors(self, organization_id: str, window_start: str, number: int) -> None:
        self.dynamodb.update_item(
            TableName="UsageTable",
            Key={"organization_id": {"S": organization_id}, "window_start": {"S": window_start}},
            UpdateExpression="SET active_sensors = :number, due_shard = :shard, due_at = :end",
            ExpressionAttributeValues={
                ":number": {"N": str(number)},
                ":shard": {"N": str(shard_of(organization_id))},
                ":end": {"S": end_of(window_start)},
            },
        )

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

    def usual(self) -> None:
        """Report; then late readings, corrections both ways, a new customer, a queue that delivers twice."""
        self.run()
        self.stack.advance(minutes=5)
        self.write(LATE, TEN, "ADD temperature_readings :late", late=30)
        self.set_sensors(LATE, TEN, 6)
        self.write(LATE, NINE, "ADD temperature_readings :late", late=4)
        self.move()
        self.set_sensors(MOVED, TEN, 2)
        self.write(MOVED, ELEVEN, "ADD temperature_readings :new, active_sensors :new", new=9)
        self.set_sensors(FLIPPED, ELEVEN, 6)
        self.run()
        self.stack.advance(minutes=5)
        self.set_sensors(FLIPPED, ELEVEN, 5)
        self.set_sensors(LATE, TEN, 5)
        self.deliver_twice()
        self.stack.advance(minutes=50)
        self.set_sensors(MOVED, TEN, 3)
        self.run()

    def tampered(self) -> None:
        """Report; then Stripe loses an hour and doubles two, of which one is written again with the same number."""
        self.run()
        self.stack.advance(hours=2)
        self.tamper()
        self.set_sensors(FLIPPED, ELEVEN, 5)
        self.compare()
        self.run()

    def tamper(self) -> None:
        """Let Stripe lose one hour of the late organisation, and double one of the plain and the flipped one's."""
        events, ten, eleven = self.stack.simulator.account.meter_events, *map(_unix, (TEN, ELEVEN))
        for customer_id in self.stack.customers[LATE]:
            events.lose_hour(customer_id, "temperature_readings", ten)
        for customer_id in self.stack.customers[PLAIN]:
            events.double_hour(customer_id, "temperature_readings", ten)
        for customer_id in self.stack.customers[FLIPPED]:
            events.double_hour(customer_id, "active_sensors", eleven)

    def linked_late(self) -> None:
        """Let the webhook that links a customer come when a run has refused the organisation's hour, or meanwhile."""
        self.stack.simulator.clock.set(clock.parse_time(TEN))
        self.stack.subscribe(UNLINKED)
        self.stack.simulator.clock.set(START)
        self.run()
        self.link()
        self.stack.advance(minutes=20)
        self.run()

    # --- what happens in them

    def run(self) -> None:
        """Let a run happen that may fail or die."""
        self._in_a_process(lambda: process_shards(SHARDS, clock.utc_now()))

    def compare(self) -> None:
        """Let a comparison happen that may fail or die."""
        self._in_a_process(self._compared)

    def _compared(self) -> dict[str, Any]:
        end = clock.hour_of(clock.utc_now())
        return carry_out(ComparisonRequest(end - timedelta(days=1), end)).as_dict()

    def link(self) -> None:
        """Let Stripe attempt each delivery that has not succeeded yet."""
        waiting = [each for each in self.stack.simulator.webhooks.deliveries.values() if not each.delivered]
        self._in_a_process(lambda: self.stack.deliver_all(waiting))

    def report(self, by: int) -> None:
        """Let the service report the flipped organisation's hour, changed by a number, at once."""
        number = int(UsageRecord.get(FLIPPED, ELEVEN, consistent_read=True).active_sensors) + by
        service = get_stripe_meter_service()
        moment = clock.parse_time(ELEVEN)
        self._in_a_process(lambda: service.report_active_sensors_with_timestamp(FLIPPED, number, moment))

    def deliver_twice(self) -> None:
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
        self._in_a_process(lambda: self.stack.metering_app.worker({"Records": records}, None))

    def _in_a_process(self, invoke: Callable[[], object]) -> None:
        # Another process has another gateway, with a session of its own.
        stripe_gateway.cache_clear()
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
            stripe_gateway.cache_clear()
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
            differences, due, drift = self.differences(), self.due(), self._compared()
            if not drift["made_due"] or repairs == MOST_RECOVERIES:
                return Ending(differences, due, drift, recovery_runs, repairs, calls)
            self.run()
            repairs += 1

    # --- what came of it

    def items(self) -> list[dict[str, Any]]:
        """Return all hours as they are stored."""
        return self.dynamodb.scan(TableName="UsageTable", ConsistentRead=True)["Items"]

    def due(self) -> list[str]:
        """Return the hours that are due."""
        return [_named(item) for item in self.items() if "due_at" in item]

    def differences(self) -> list[str]:
        """Return where Stripe, over all customers of an organisation, counts something else than was counted."""
        found = []
        hourly = self.stack.simulator.account.hourly
        counted: dict[tuple[str, str, str], int] = {}
        at_stripe: dict[tuple[str, str, str], int] = {}
        for item in self.items():
            organization_id, window_start = item["organization_id"]["S"], item["window_start"]["S"]
            if organization_id not in self.stack.customers:
                if not item.get("refused", {"S": ""})["S"].startswith("no_customer"):
                    found.append(f"{_named(item)}: not refused")
                continue
            for meter in ("active_sensors", "temperature_readings"):
                counted[organization_id, meter, window_start] = max(0, int(item.get(meter, {"N": "0"})["N"]))
        for organization_id, customers in self.stack.customers.items():
            for meter in ("active_sensors", "temperature_readings"):
                for customer_id in customers:
                    for seconds, value in hourly(customer_id, meter).items():
                        key = organization_id, meter, clock.format_time(clock.from_unix(seconds))
                        at_stripe[key] = at_stripe.get(key, 0) + value
        for key in sorted(counted.keys() | at_stripe.keys()):
            if counted.get(key, 0) != at_stripe.get(key, 0):
                found.append(f"{key}: counted {counted.get(key, 0)}, at Stripe {at_stripe.get(key, 0)}")
        return found

    # --- the calls

    @contextmanager
    def instrumented(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
        """Number every call of the system, and run its executors inline."""
        client = table.client()
        call_dynamodb, once = client._make_api_call, StripeGateway.once  # type: ignore[attr-defined]

        def dynamodb_call(operation: str, request: Any) -> Any:
            return self._dynamodb(operation, request, lambda part=request: call_dynamodb(operation, part))

        def stripe_call(gateway: StripeGateway, call: Callable[[Any], Any]) -> Any:
            return self._stripe(lambda: once(gateway, call))

        with monkeypatch.context() as patched:
            patched.setattr(client, "_make_api_call", dynamodb_call)
            patched.setattr(StripeGateway, "once", stripe_call)
            patched.setattr(invocation, "ThreadPoolExecutor", InlineExecutor)
            patched.setattr(service, "ThreadPoolExecutor", InlineExecutor)
            yield self

    def _next(self, name: str) -> str | None:
        self.calls.append(name)
        kind = self.faults.pop(len(self.calls), None)
        if kind is not None and kind.startswith("any:"):
            choices = faults_for(name)
            kind = choices[int(kind.removeprefix("any:")) % len(choices)]
        if kind is not None and kind.partition(":")[0] in MEANWHILE:
            self._overlap(kind)
            return None
        if kind == "crash_before":
            raise Crash
        return kind

    def _overlap(self, kind: str) -> None:
        what, _, numbers = kind.partition(":")
        if what == "later":
            self.stack.advance(minutes=10)
        faults_of_stripe = list(self.stack.simulator.faults.rules)
        if what == "compare":
            self.compare()
        if what == "link":
            self.link()
        corrections = [int(by) for by in numbers.replace("-", " -").replace("+", " +").split()]
        for place, by in enumerate(corrections, start=1):
            if what == "report":
                self.report(by)
                continue
            self.correct(by)
            if what != "count" and not (what == "between" and place == len(corrections)):
                self.run()
        self.stack.simulator.faults.rules.extend(faults_of_stripe)

    def _dynamodb(self, operation: str, request: Any, perform: Callable[..., Any]) -> Any:
        kind = self._next(f"dynamodb {operation}")
        if kind == "throttled":
            raise _client_error("ProvisionedThroughputExceededException", operation)
        if kind == "partial":
            return self._partially(operation, request, perform)
        answer = perform()
        if kind == "crash_after":
            raise Crash
        if kind == "lost":
            raise ReadTimeoutError(endpoint_url="http://dynamodb")
        if kind == "retried":
            return perform()
        return answer

    def _partially(self, operation: str, request: Any, perform: Callable[..., Any]) -> Any:
        if operation == "BatchExecuteStatement":
            statements = request["Statements"]
            done = statements[: len(statements) // 2]
            responses = perform({**request, "Statements": done})["Responses"] if done else []
            throttled = {"Error": {"Code": "ThrottlingError", "Message": "later"}}
            return {"Responses": [*responses, *[throttled] * (len(statements) - len(done))]}
        if operation == "BatchGetItem":
            ((name, wanted),) = request["RequestItems"].items()
            keys = wanted["Keys"]
            middle = len(keys) // 2
            if not middle:
                return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
            answer = perform({**request, "RequestItems": {name: {**wanted, "Keys": keys[:middle]}}})
            return {**answer, "UnprocessedKeys": {name: {**wanted, "Keys": keys[middle:]}}}
        raise _client_error("ThrottlingException", operation)

    def _stripe(self, perform: Callable[[], Any]) -> Any:
        kind = self._next("stripe")
        if kind is None or kind == "crash_after":
            answer = perform()
            if kind is not None:
                raise Crash
            return answer
        rules = self.stack.simulator.faults
        if kind.startswith("down:"):
            rules.add(kind.removeprefix("down:"))
            return perform()
        rule = rules.add(kind)
        try:
            return perform()
        finally:
            with suppress(ValueError):
                rules.rules.remove(rule)


def _unix(window_start: str) -> float:
    return clock.parse_time(window_start).timestamp()


def _named(item: Mapping[str, Any]) -> str:
    return f"{item['organization_id']['S']} {item['window_start']['S']}"


def _client_error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "on purpose"}}, operation)


def faults_for(call: str) -> Sequence[str]:
    """Return every kind of fault that a call can meet."""
    return (*(STRIPE_FAULTS if call == "stripe" else DYNAMODB_FAULTS), *OVERLAPS)
