"""What the tables share: one DynamoDB client, and names that come from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.attributes import Attribute
from pynamodb.connection import Connection, TableConnection
from pynamodb.constants import MAP, NULL, STRING
from pynamodb.exceptions import AttributeDeserializationError, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.models import Model

from billing.clock import format_time, parse_time
from billing.errors import UnavailableError
from billing.settings import table_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_first_use = Lock()
# The attribute of any item by which somebody asks its stream to tell anew what the item is (`operate tell`).
TELL_AGAIN = "tell_again"


@cache
def _connection() -> Connection:
    # A client of its own for each table would cost three times its start-up. The time-outs fit a call that takes
    # DynamoDB milliseconds: botocore's minute would outlive a webhook's time limit.
    return Connection(connect_timeout_seconds=2, read_timeout_seconds=5, max_retry_attempts=4, max_pool_connections=32)


def connection() -> Connection:
    """Return the process's only PynamoDB connection, made on first use."""
    with _first_use:
        return _connection()


def client() -> DynamoDBClient:
    """Return the botocore client below PynamoDB, for PartiQL batches and batched reads over tables."""
    with _first_use:
        botocore_client: Any = _connection().client
        return botocore_client  # type: ignore[no-any-return]  # PynamoDB types its client privately


# What DynamoDB returns when the same call may succeed a moment later.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_TRANSIENT = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed a moment later: no response, throttled, in conflict."""
    if isinstance(error, UnavailableError):
        return True
    if isinstance(error, PynamoDBException) and error.cause is not None:
        error = error.cause
    if isinstance(error, ClientError):
        return is_transient_code(error.response["Error"]["Code"])
    return isinstance(error, BotoCoreError)


def is_transient_code(code: str) -> bool:
    """Say the same of an error code of DynamoDB's."""
    return code in _TRANSIENT


# What DynamoDB returns where somebody else has written, or is writing, the same items.
_OVERTAKEN = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def error_code(error: PynamoDBException) -> str | None:
    """Return DynamoDB's error code; None where there was no response, for which PynamoDB's own property raises."""
    response: Any = getattr(error.cause, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


def is_condition_failed(error: PynamoDBException) -> bool:
    """Say whether a single write was refused because its condition did not hold."""
    return error_code(error) == "ConditionalCheckFailedException"


def cancellation_reasons(error: ClientError) -> list[dict[str, Any]]:
    """Return why a transaction was cancelled: for each of its parts a `Code` ("None" where it is not to blame).

    With the `Item` as it is, where the part asked for it. Empty where it was not cancelled but failed otherwise.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
    """
    response: Any = error.response
    return list(response.get("CancellationReasons", ()))


def is_overtaken(error: PynamoDBException) -> bool:
    """Say whether a write or a transaction was refused because of another one: read again, and decide anew."""
    reasons = error.cancellation_reasons if isinstance(error, TransactWriteError) else ()
    return not _OVERTAKEN.isdisjoint({error_code(error), *(reason.code for reason in reasons if reason)})


class Table(Model):
    """A PynamoDB model whose table is named by an environment variable, read at first use.

    An attribute that another writer has damaged is read as if it were not there, and named in `damaged`: one item never
    stops a query. Whoever reads decides what it is worth without that attribute.
    """

    environment_variable: ClassVar[str]
    damaged: frozenset[str] = frozenset()

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Self:
        # As PynamoDB's own, but for the `except`.
        item, damaged = cls(_user_instantiated=False), set()
        for name, attribute in cls.get_attributes().items():
            value = attribute_values.get(attribute.attr_name)
            if not value or NULL in value:
                continue
            try:
                setattr(item, name, attribute.deserialize(attribute.get_value(value)))
            except (AttributeDeserializationError, ValueError, TypeError, KeyError, AttributeError):
                damaged.add(attribute.attr_name)
        item.damaged = frozenset(damaged)
        return item

    @classmethod
    def name(cls) -> str:
        """Return the table's name."""
        return table_name(cls.environment_variable)

    @classmethod
    def _get_connection(cls) -> TableConnection:
        cls.Meta.table_name = cls.name()
        shared = connection()
        with _first_use:
            table_connection = super()._get_connection()
            if table_connection.connection is not shared:
                if cls.Meta.table_name not in shared._tables:
                    shared.add_meta_table(table_connection.get_meta_table())
                table_connection.connection = shared
        return table_connection

    def update_if(self, actions: list[Any], condition: Any = None) -> bool:
        """Update the item; say whether the condition held.

        PynamoDB's `update` reads the whole item back, which costs as much again, and fails at an attribute that another
        writer has damaged, after the write.

        Raises:
            UpdateError: DynamoDB refused the write for another reason.
        """
        hash_key, range_key = self._get_hash_range_key_serialized_values()
        try:
            self._get_connection().update_item(hash_key, range_key=range_key, actions=actions, condition=condition)
        except UpdateError as error:
            if is_condition_failed(error):
                return False
            raise
        return True


class TimeAttribute(Attribute[datetime]):
    """A moment as `2026-11-23T08:00:00Z`."""

    attr_type = STRING

    def serialize(self, value: datetime) -> str:
        """Write the moment; see `billing.clock.format_time`."""
        return format_time(value)

    def deserialize(self, value: str) -> datetime:
        """Read the moment; see `billing.clock.parse_time`."""
        return parse_time(value)


class TotalsAttribute(Attribute[Mapping[str, int]]):
    """Whole numbers by the name of a meter's event."""

    attr_type = MAP

    def serialize(self, value: Mapping[str, int]) -> dict[str, dict[str, str]]:
        """Write the numbers as DynamoDB's map."""
        return {name: {"N": str(number)} for name, number in value.items()}

    def deserialize(self, value: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
        """Read the numbers.

        Raises:
            KeyError, ValueError: one of them is no whole number.
        """
        return {name: int(number["N"]) for name, number in value.items()}
