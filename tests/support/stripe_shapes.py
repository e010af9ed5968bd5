"""Are requests and objects as Stripe's API has them, in the version that the installed SDK was generated from?

    problems_of_request("POST", "/v1/customers", {"nmae": "Acme"})      [".nmae: is unknown"]
    problems_of_result("GET", "/v1/customers/{id}", customer)           []
    problems_of_event(event, delivered=True)
    problems_of_error({"error": {…}})

A problem names the place and what is wrong there: a field that is unknown or missing, a wrong type, an unknown word.
`ShapeObserver` does it for everything that passes a running simulator.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Optional, Required, TypeAlias, Union

from stripe import Event, ListObject, SearchResultObject, StripeContext
from stripe._error_object import ErrorObject
from stripe._stripe_object import UntypedStripeObject
from stripe.v2 import ListObject as ListObjectV2
from stripe.v2.core import Event as ThinEvent

from stripe_simulator.request_log import LoggedRequest
from tests.support.stripe_types import (
    Annotation,
    Field,
    class_named,
    fields_of,
    operation_of,
    thin_event_class,
    written_in,
)

Checker: TypeAlias = Callable[[Any], Sequence[str]]
"""Returns the problems of a value: each a place below it, as `.items.data[0].plan`, a colon and what is wrong."""

LEFT_OUT = {
    object_name: frozenset(names.split())
    for object_name, names in {
        "account": """
            business_profile business_type capabilities company controller external_accounts
            future_requirements groups individual requirements settings tos_acceptance
        """,
        "checkout.session": """
            branding_settings excluded_payment_method_types line_items name_collection
            optional_items phone_number_collection presentment_details redirect_on_completion
            return_url tax_id_collection
        """,
        "customer": """
            business_name cash_balance individual_name invoice_credit_balance sources subscriptions
            tax tax_ids
        """,
        "event": "account context",
        "invoice": "amount_paid_off_stripe confirmation_secret payments status_details threshold_reason",
        "item": "discounts taxes",
        "plan": "tiers",
        "price": "currency_options tiers",
        "subscription": "presentment_details status_details",
        "subscription_item": "billed_until quantity",
        "webhook_endpoint": "secret",
    }.items()
}
"""Fields of v1's objects that Stripe leaves out until they are expanded, or where they do not apply.

All other optional fields it sends as null. The SDK's types do not tell the two apart, Stripe's OpenAPI document does:
these are the ones that it neither requires nor calls nullable, and of a customer those that an `expand` includes.
"""
_LISTS: dict[Any, dict[str, Any]] = {
    ListObject: {"object": Literal["list"]},
    SearchResultObject: {"object": Literal["search_result"], "url": str, "next_page": Optional[str]},  # noqa: UP045
    ListObjectV2: {"previous_page_url": Optional[str]},  # noqa: UP045
}
"""What lists have and the SDK does not declare."""
OTHER_WORDS = frozenset(("meter_event_value_not_found", "duplicate_meter_event"))
"""Codes of error reports that the SDK does not list: Stripe documents the first; of the second nobody knows."""
MOST_WORDS_TOLD = 20
_DELETED = frozenset(("id", "object", "deleted"))
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_PLAIN: dict[Any, Callable[[Any], bool]] = {
    str: lambda value: isinstance(value, str),
    StripeContext: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    Decimal: lambda value: isinstance(value, str) and _NUMBER.fullmatch(value) is not None,
    type(None): lambda value: value is None,
}
_FORM: dict[Any, Callable[[Any], bool]] = _PLAIN | {
    bool: lambda value: value in ("true", "false"),
    int: lambda value: isinstance(value, str) and re.fullmatch(r"-?\d+", value) is not None,
    float: lambda value: isinstance(value, str) and _NUMBER.fullmatch(value) is not None,
}


def problems_of_request(method: str, path: str, params: Mapping[str, Any]) -> list[str]:
    """Compare a request's decoded parameters with those of the SDK's call for this route."""
    operation = operation_of(method, path)
    if operation is None:
        return [": the SDK has no such route"]
    if operation.params is None:
        return [f".{name}: is unknown" for name in params]
    is_form = not (path.startswith("/v2") and method == "POST")
    if path.startswith("/v2") and method == "GET":
        # Part of the next page's address, which the SDK takes as it comes.
        params = {name: value for name, value in params.items() if name != "page"}
    return list(_checker(operation.params, is_form)(params))


def problems_of_result(method: str, path: str, body: Any) -> list[str]:
    """Compare the body of a success with what the SDK's call for this route returns."""
    return list(_result_checker(method, path)(body))


def problems_of_error(body: Any) -> list[str]:
    """Compare the body of an error with the SDK's error object."""
    if not isinstance(body, dict) or set(body) != {"error"}:
        return [": is not {'error': …}"]
    return _below(".error", _checker(written_in(ErrorObject), False)(body["error"]))


def problems_of_event(event: Mapping[str, Any], *, delivered: bool) -> list[str]:
    """Compare a snapshot event with the SDK's classes, its object too; or a thin event, as delivered or retrieved."""
    if event.get("object") == "v2.core.event":
        cls = thin_event_class(str(event.get("type")), notification=delivered)
        return list(_checker(written_in(cls), False)(event)) if cls else [f".type: the SDK has no {event.get('type')}"]
    found = list(_checker(written_in(Event), False)(event))
    if found:
        return found
    return _below(".data", _problems_of_snapshot(event["data"]))


def _problems_of_snapshot(data: Mapping[str, Any]) -> list[str]:
    cls = class_named(str(data["object"].get("object")))
    if cls is None:
        return [f".object.object: the SDK has no {data['object'].get('object')}"]
    fields = fields_of(cls)
    problems = _below(".object", _checker(written_in(cls), False)(data["object"]))
    for name, value in (data.get("previous_attributes") or {}).items():
        place = f".previous_attributes.{name}"
        known = name in fields
        problems += _below(place, _checker(fields[name].annotation, False)(value) if known else [": is unknown"])
    return problems


class ShapeObserver:
    """Watches a simulator: `problems` has what was wrong with requests that it accepted, and with all that it sent."""

    def __init__(self) -> None:
        self.problems: dict[str, None] = {}

    def exchanged(self, request: LoggedRequest, body: Any) -> None:
        """Look at a request and the response to it; what Stripe refuses may be anything."""
        if request.status is not None and request.status >= 400:
            self._note(f"error of {request.route} ", problems_of_error(body))
            return
        method, _, path = request.route.partition(" ")
        self._note(f"request {request.route} ", problems_of_request(method, path, request.params))
        self._note(f"response to {request.route} ", problems_of_result(method, path, body))

    def emitted(self, event: Mapping[str, Any], *, delivered: bool) -> None:
        """Look at an event."""
        self._note(f"event {event['type']} ", problems_of_event(event, delivered=delivered))

    def _note(self, subject: str, problems: Iterable[str]) -> None:
        self.problems.update(dict.fromkeys(_below(subject, problems)))


def _below(place: str, problems: Iterable[str]) -> list[str]:
    return [f"{place}{problem}" for problem in problems]


@cache
def _result_checker(method: str, path: str) -> Checker:
    operation = operation_of(method, path)
    if operation is None:
        return lambda body: (": the SDK has no such route",)
    if operation.result.resolved().type is None:
        return lambda body: () if body == {} else (": is not empty",)
    return _checker(operation.result, False)


# --- one type, one value


@cache
def _checker(annotation: Annotation, is_form: bool) -> Checker:
    """Return the checker of a type; a form has text for every value."""
    annotation = annotation.resolved()
    type = annotation.type
    origin, parts = typing.get_origin(type), [annotation.of(part) for part in typing.get_args(type)]
    if origin in (Required, NotRequired):
        return _checker(parts[0], is_form)
    if origin in (Union, UnionType):
        return _union(parts, is_form)
    if origin is Literal:
        words = typing.get_args(type)
        told = ", ".join(map(repr, words)) if len(words) <= MOST_WORDS_TOLD else f"the SDK's {len(words)} words"
        return _plain(lambda value: value in (*words, *OTHER_WORDS), f"one of {told}")
    if origin is list:
        return _sequence(parts[0], is_form)
    if origin is dict or origin is UntypedStripeObject:
        return _mapping(parts[-1], is_form)
    if origin in _LISTS:
        return _object(_list_fields(origin, parts[0]), frozenset(), is_form)
    if type is Any:
        return lambda value: ()
    if type is ThinEvent:
        return lambda value: problems_of_event(value, delivered=False)
    plain = (_FORM if is_form else _PLAIN).get(type)
    if plain is not None:
        return _plain(plain, type.__name__)
    return _object(fields_of(type), _always_sent(type), is_form)


def _plain(is_right: Callable[[Any], bool], name: str) -> Checker:
    return lambda value: () if is_right(value) else (f": is {value!r}, not {name}",)


def _union(parts: Sequence[Annotation], is_form: bool) -> Checker:
    """Return the checker of alternatives; text beside words only says that Stripe may add words."""
    words = {word for part in parts for word in typing.get_args(part.resolved().type) if isinstance(word, str)}
    parts = [part for part in parts if not (part.type is str and words - {""})]
    checkers: list[Checker] = []

    def check(value: Any) -> Sequence[str]:
        shallow: list[str] = []
        for at, part in enumerate(parts):
            if at == len(checkers):
                checkers.append(_checker(part, is_form))
            problems = checkers[at](value)
            if not problems:
                return ()
            if not problems[0].startswith(":"):
                return problems
            shallow += problems
        return (" nor ".join([shallow[0], *(each.partition(", not ")[2] for each in shallow[1:])]),)

    return check


def _sequence(item: Annotation, is_form: bool) -> Checker:
    def check(value: Any) -> Sequence[str]:
        if not isinstance(value, list):
            return (f": is {value!r}, not a list",)
        check_item = _checker(item, is_form)
        return [f"[{at}]{problem}" for at, each in enumerate(value) for problem in check_item(each)]

    return check


def _mapping(item: Annotation, is_form: bool) -> Checker:
    def check(value: Any) -> Sequence[str]:
        if not isinstance(value, dict):
            return (f": is {value!r}, not a mapping",)
        check_item = _checker(item, is_form)
        return [f".{key}{problem}" for key, each in value.items() for problem in check_item(each)]

    return check


def _object(fields: Mapping[str, Field], sent: frozenset[str], is_form: bool) -> Checker:
    """Return the checker of an object; `sent` are the optional fields that are there all the same."""
    required = {name for name, field in fields.items() if field.is_required} | sent
    checkers: dict[str, Checker] = {}

    def check(value: Any) -> Sequence[str]:
        if not isinstance(value, dict):
            return (f": is {value!r}, not an object",)
        expected = _DELETED if value.get("deleted") is True else required
        problems = [f".{name}: is missing" for name in sorted(expected - value.keys())]
        for name, each in value.items():
            checker = checkers.get(name)
            if checker is None:
                if name not in fields:
                    problems.append(f".{name}: is unknown")
                    continue
                checker = checkers[name] = _checker(fields[name].annotation, is_form)
            found = checker(each)
            if found:
                problems += _below(f".{name}", found)
        return problems

    return check


def _list_fields(cls: Any, item: Annotation) -> dict[str, Field]:
    declared = {name: Field(item.of(type), True) for name, type in _LISTS[cls].items()}
    return fields_of(cls) | declared | {"data": Field(item.of(list[item.type]), True)}  # type: ignore[name-defined]


def _always_sent(cls: Any) -> frozenset[str]:
    """Return the optional fields that an object of v1 has as null."""
    if cls.__module__.startswith("stripe.v2") or not hasattr(cls, "OBJECT_NAME"):
        return frozenset()
    return frozenset(fields_of(cls)) - {"deleted"} - LEFT_OUT.get(cls.OBJECT_NAME, frozenset())
