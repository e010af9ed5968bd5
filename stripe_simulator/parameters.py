"""Reading request parameters: nested form fields, and values that may be strings or already typed.

The account's resources take the same dicts from HTTP (where every leaf is a string) and from tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import invalid_parameter, missing_parameter

Params = dict[str, Any]


def parse_form(text: str) -> Params:
    """Parse a form body or query with nested names, `a[b][0][c]=x` to `{"a": {"b": [{"c": "x"}]}}`.

    Names that end in `[]` and runs of whole numbers make lists, everything else dicts.
    """
    result: Params = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if "[" not in name:
            result[name] = value
            continue
        head, *rest = name.replace("]", "").split("[")
        *parents, last = [head, *rest]
        node = result
        for key in parents:
            child = node.get(key)
            if not isinstance(child, dict):
                child = node[key] = {}
            node = child
        node[str(len(node)) if last == "" else last] = value
    return {key: _lists(value) if isinstance(value, dict) else value for key, value in result.items()}


def _lists(value: Params) -> Any:
    items = {key: _lists(item) if isinstance(item, dict) else item for key, item in value.items()}
    if items and all(key.isdecimal() for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items


def required(params: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that must be there and not blank.

    Raises:
        ApiError: 400 `parameter_missing`.
    """
    value = params.get(name)
    if value is None or value == "":
        raise missing_parameter(name)
    return value


def text(params: Mapping[str, Any], name: str) -> str | None:
    """Return a parameter as text, or None where it is absent or blank (which unsets it at Stripe)."""
    value = params.get(name)
    return None if value is None or value == "" else str(value)


def integer(params: Mapping[str, Any], name: str) -> int | None:
    """Return a parameter as a whole number, or None where it is absent or blank.

    Raises:
        ApiError: 400 `parameter_invalid_integer`.
    """
    value = params.get(name)
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid_parameter(name, f"Invalid integer: {value}", "parameter_invalid_integer") from None


def boolean(params: Mapping[str, Any], name: str) -> bool | None:
    """Return a parameter as a boolean, or None where it is absent or blank.

    Raises:
        ApiError: 400 for anything but true and false.
    """
    value = params.get(name)
    if value is None or value == "" or isinstance(value, bool):
        return value if isinstance(value, bool) else None
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise invalid_parameter(name, f"Invalid boolean: {value}")


def mapping(params: Mapping[str, Any], name: str) -> Params:
    """Return a nested parameter as a dict, empty where it is absent or blank.

    Raises:
        ApiError: 400 where it is a plain value.
    """
    value = params.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid_parameter(name, "Invalid hash", "parameter_invalid_hash")
    return value


def sequence(params: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list parameter, empty where it is absent or blank.

    Raises:
        ApiError: 400 where it is no list.
    """
    value = params.get(name)
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise invalid_parameter(name, "Invalid array", "parameter_invalid_array")
    return value


def one_of(params: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    """Return a parameter that must be one of some words, or None where it is absent or blank.

    Raises:
        ApiError: 400 that names the choices.
    """
    value = text(params, name)
    if value is not None and value not in choices:
        raise invalid_parameter(name, f"Invalid {name}: must be one of {', '.join(choices)}")
    return value


def merged_metadata(old: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata after an update: keys are merged, a blank value removes its key, a blank whole clears all.

    See https://docs.stripe.com/api/metadata
    """
    if "metadata" not in params:
        return dict(old)
    if params["metadata"] in ("", None):
        return {}
    result = dict(old)
    for key, value in mapping(params, "metadata").items():
        if value in ("", None):
            result.pop(key, None)
        else:
            result[key] = str(value)
    return result


def in_range(params: Mapping[str, Any], name: str, moment: int) -> bool:
    """Say whether a moment passes a `created`-like filter: a number, or `gt`, `gte`, `lt`, `lte`.

    Raises:
        ApiError: 400 for a limit that is no whole number.
    """
    value = params.get(name)
    if value is None or value == "":
        return True
    if not isinstance(value, dict):
        return moment == integer(params, name)
    limits = {key: integer(value, key) for key in ("gt", "gte", "lt", "lte")}
    return not (
        (limits["gt"] is not None and moment <= limits["gt"])
        or (limits["gte"] is not None and moment < limits["gte"])
        or (limits["lt"] is not None and moment >= limits["lt"])
        or (limits["lte"] is not None and moment > limits["lte"])
    )


def page_limit(params: Mapping[str, Any], default: int = 10) -> int:
    """Return a list's `limit`, 1 to 100.

    Raises:
        ApiError: 400 outside of that.
    """
    limit = integer(params, "limit")
    if limit is None:
        return default
    if limit < 1:
        raise invalid_parameter("limit", "This value must be greater than or equal to 1.", "parameter_invalid_integer")
    if limit > 100:
        raise invalid_parameter("limit", "This value must be less than or equal to 100.", "parameter_invalid_integer")
    return limit
