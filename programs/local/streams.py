"""Tables' streams on this machine, read and handed to a function as Lambda does it.

Shard by shard, a parent before its children, each in order. A batch that fails comes again: from the item that the
function named, or, where it raised, in halves. What fails for good goes to the dead letters, as shard and numbers.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from programs.local.cloudformation import read_template
from programs.local.event_pattern import matches, patterns_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import StreamSpecificationTypeDef

BATCH_SIZE = 100
STREAM: StreamSpecificationTypeDef = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
Record = dict[str, Any]
Handler = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class DeadLetter:
    """What Lambda tells of records that it has given up: no more than where they were in the stream."""

    shard_id: str
    first: str
    last: str
    size: int


@dataclass
class StreamPump:
    """BillingEventsFunction's event sources as the template has them: its tables, each with its filter.

    The streams are on until it is closed. `attempts` is how often a batch is tried until it is given up (None: for
    ever).
    """

    dynamodb: DynamoDBClient
    handler: Handler
    attempts: int | None = None
    batch_size: int = BATCH_SIZE
    dead_letters: list[DeadLetter] = field(default_factory=list)
    invocations: int = 0
    filtered: int = 0
    _positions: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _streams: Any = None

    def __post_init__(self) -> None:
        import boto3

        credentials: Any = self.dynamodb._request_signer._credentials  # type: ignore[attr-defined]  # as the tables'
        make: Any = boto3.client
        self._streams = make(
            "dynamodbstreams",
            endpoint_url=self.dynamodb.meta.endpoint_url,
            region_name=self.dynamodb.meta.region_name,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
        )
        self.sources = sources()
        for table in self.sources:
            described = self.dynamodb.describe_table(TableName=table)["Table"]
            # Of one who did not close it the stream may be on still.
            if not described.get("StreamSpecification", {}).get("StreamEnabled"):
                self.dynamodb.update_table(TableName=table, StreamSpecification=STREAM)

    def close(self) -> None:
        """Turn the streams off again: DynamoDB Local keeps every record for a day, and slows down with them."""
        for table in self.sources:
            self.dynamodb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})

    def begin(self) -> None:
        """Leave out all that has been written so far."""
        for table in self.sources:
            for arn, shard_id in self._shards(table):
                newest = None
                for record in self._read(arn, shard_id, None):
                    newest = record["dynamodb"]["SequenceNumber"]
                self._positions[arn, shard_id] = newest

    def run(self) -> int:
        """Hand over all that waits; return how many records there were."""
        waiting = {table: self.waiting(table) for table in self.sources}
        for table, batches in waiting.items():
            for (arn, shard_id), records in batches.items():
                self._hand_over(table, shard_id, records)
                if records:
                    self._positions[arn, shard_id] = records[-1]["dynamodb"]["SequenceNumber"]
        return sum(len(records) for batches in waiting.values() for records in batches.values())

    def waiting(self, table: str) -> dict[tuple[str, str], list[Record]]:
        """Return the records of a table's shards that were not handed over yet."""
        shards = list(self._shards(table))
        return {shard: list(self._read(*shard, self._positions.get(shard))) for shard in shards}

    def _hand_over(self, table: str, shard_id: str, records: Sequence[Record]) -> None:
        patterns = self.sources[table]
        wanted = [record for record in records if not patterns or any(matches(each, record) for each in patterns)]
        self.filtered += len(records) - len(wanted)
        for start in range(0, len(wanted), self.batch_size):
            self._invoke(shard_id, wanted[start : start + self.batch_size])

    def _invoke(self, shard_id: str, records: Sequence[Record]) -> None:
        """Invoke the handler until it has done all of a batch, or has been tried often enough."""
        tried = 0
        while records:
            self.invocations += 1
            try:
                response = self.handler({"Records": list(records)})
            except AssertionError:
                # What a test finds wrong is no trouble of the function's.
                raise
            except Exception:
                if len(records) > 1:
                    middle = len(records) // 2
                    self._invoke(shard_id, records[:middle])
                    records = records[middle:]
                    continue
                response = {"batchItemFailures": [{"itemIdentifier": _number(records[0])}]}
            failures = [failure["itemIdentifier"] for failure in (response or {}).get("batchItemFailures", ())]
            if not failures:
                return
            first = min(failures, key=int)
            before = len(records)
            records = [record for record in records if int(_number(record)) >= int(first)]
            tried = tried + 1 if len(records) == before else 1
            if self.attempts is not None and tried >= self.attempts:
                self.dead_letters.append(DeadLetter(shard_id, _number(records[0]), _number(records[-1]), len(records)))
                return

    def _shards(self, table: str) -> Iterator[tuple[str, str]]:
        """Yield a stream's shards, a parent before its children."""
        arn = self.dynamodb.describe_table(TableName=table)["Table"].get("LatestStreamArn")
        if arn is None:
            return
        shards = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        known = {shard["ShardId"] for shard in shards}
        given: set[str] = set()
        while len(given) < len(shards):
            for shard in shards:
                parent = shard.get("ParentShardId")
                if shard["ShardId"] not in given and (parent not in known or parent in given):
                    given.add(shard["ShardId"])
                    yield arn, shard["ShardId"]

    def _read(self, arn: str, shard_id: str, after: str | None) -> Iterator[Record]:
        """Yield a shard's records behind one, as Lambda gives them."""
        place: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        iterator = self._streams.get_shard_iterator(StreamArn=arn, ShardId=shard_id, **place)["ShardIterator"]
        while iterator:
            response = self._streams.get_records(ShardIterator=iterator, Limit=1000)
            for record in response["Records"]:
                yield as_lambda_has_it(record, arn)
            iterator = response.get("NextShardIterator") if response["Records"] else None


def as_lambda_has_it(record: Mapping[str, Any], stream_arn: str) -> Record:
    """Return a record of GetRecords in the shape of Lambda's event: the time is a number, and the stream is named."""
    values = dict(record["dynamodb"])
    values["ApproximateCreationDateTime"] = values["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": values, "eventSourceARN": stream_arn}


def _number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def sources() -> dict[str, list[Any]]:
    """Return the tables whose streams BillingEventsFunction gets, each with the patterns of its filter."""
    events = read_template()["Resources"]["BillingEventsFunction"]["Properties"]["Events"]
    return {
        event["Properties"]["Stream"]["Fn::GetAtt"][0]: patterns_of(event["Properties"].get("FilterCriteria"))
        for event in events.values()
        if event["Type"] == "DynamoDB"
    }
