"""What the account's resources share: the lock, stored objects, copies, and Stripe's lists."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stripe_simulator.errors import invalid_parameter, no_such
from stripe_simulator.parameters import Params, page_limit, text

if TYPE_CHECKING:
    from stripe_simulator.account import Account

StripeObject = dict[str, Any]
ResourceClass = TypeVar("ResourceClass", bound=type)
Value = TypeVar("Value")
Method = TypeVar("Method", bound=Callable[..., Any])


def unlocked(method: Method) -> Method:
    """Exempt a public method from `synchronized`: one that waits for a receiver, which may call the simulator."""
    vars(method)["unlocked"] = True
    return method


def synchronized(resource: ResourceClass) -> ResourceClass:
    """Make every public method of a class hold the account's lock, so that any thread may call it."""

    def locked(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.lock:
                return method(self, *args, **kwargs)

        return call

    for name, member in list(vars(resource).items()):
        if not callable(member) or name.startswith("_") or isinstance(member, type):
            continue
        if not getattr(member, "unlocked", False):
            setattr(resource, name, locked(member))
    return resource


def on_its_clock(method: Method) -> Method:
    """Run a resource's method for one object in the time of the object's test clock, if it has one."""

    @functools.wraps(method)
    def call(self: Any, object_id: str, *args: Any, **kwargs: Any) -> Any:
        with self.account.on_clock(self.objects.get(object_id, {}).get("test_clock")):
            return method(self, object_id, *args, **kwargs)

    return cast(Method, call)


class Resource:
    """One kind of Stripe's objects: `objects` has each by its identifier, as Stripe would show it."""

    resource_name = "object"

    def __init__(self, account: Account) -> None:
        self.account = account
        self.lock = account.lock
        self.objects: dict[str, StripeObject] = {}

    def _find(self, identifier: str, param: str = "id", status: int = 404) -> StripeObject:
        stored = self.objects.get(identifier)
        if stored is None:
            raise no_such(self.resource_name, identifier, param, status)
        return stored


def copied(value: Value) -> Value:
    """Copy a JSON-like value deeply, so that what was returned never changes afterwards."""
    copy: Value = json.loads(json.dumps(value))
    return copy


def page(objects: Iterable[StripeObject], params: Params, url: str) -> StripeObject:
    """Make a v1 list of objects, newest first as given, with `limit`, `starting_after` and `ending_before`.

    See https://docs.stripe.com/api/pagination. The list holds the stored objects themselves.

    Raises:
        ApiError: 400 for a limit outside 1 to 100 or an unknown cursor.
    """
    limit = page_limit(params)
    items = list(objects)
    after, before = text(params, "starting_after"), text(params, "ending_before")
    if after is not None:
        items = items[_position(items, after, "starting_after") + 1 :]
    elif before is not None:
        items = items[: _position(items, before, "ending_before")]
    data = items[-limit:] if after is None and before is not None else items[:limit]
    return {"object": "list", "data": data, "has_more": len(items) > limit, "url": url}


def _position(items: list[StripeObject], identifier: str, param: str) -> int:
    for position, item in enumerate(items):
        if item["id"] == identifier:
            return position
    raise invalid_parameter(param, f"No such object: '{identifier}'", "resource_missing")
