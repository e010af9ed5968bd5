"""What the installed SDK says of Stripe's API: which call a route is, and which fields a class has.

stripe-python is generated from the OpenAPI document of its API version; here its annotations are read, and resolved
only where they are met, for importing all of it takes seconds.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import stripe
from stripe._object_classes import OBJECT_CLASSES, V2_OBJECT_CLASSES
from stripe._request_options import RequestOptions
from stripe.events import _event_classes

_SDK = Path(stripe.__file__).parent
_REQUEST = re.compile(r'"(get|post|delete)",\s+"(/v\d/[^"]+)"')
_METHOD = re.compile(r"^    def (\w+)\(", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)


@dataclass(frozen=True)
class Annotation:
    """A type as it was written, and the names that it may use."""

    type: Any
    names: Names

    def of(self, type: Any) -> Annotation:
        """Return a part of this type, which uses the same names."""
        return Annotation(type, self.names)

    def resolved(self) -> Annotation:
        """Return it with the text or forward reference evaluated."""
        type = self.type
        while isinstance(type, str | typing.ForwardRef):
            text = type if isinstance(type, str) else type.__forward_arg__
            type = eval(text, vars(self.names.module), self.names)  # noqa: S307  # the SDK's own annotation
        return self.of(type)


@dataclass(frozen=True)
class Field:
    """One field of a class, or one parameter of a call."""

    annotation: Annotation
    is_required: bool


@dataclass(frozen=True)
class Operation:
    """A call of the API: what it takes (None: nothing) and what it returns."""

    params: Annotation | None
    result: Annotation


class Names(dict[str, Any]):
    """The names of a module of the SDK, those too that it imports for type checkers alone."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        header = re.split(r"^(?:@|class |def )", inspect.getsource(module), maxsplit=1, flags=re.MULTILINE)[0]
        self._imports = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(ast.parse(header))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def __missing__(self, name: str) -> Any:
        if hasattr(self.module, name) or name not in self._imports:
            raise KeyError(name)
        module, original = self._imports[name]
        self[name] = getattr(import_module(module), original)
        return self[name]

    def __hash__(self) -> int:  # type: ignore[override]  # there is one for each module
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@cache
def names_of(module_name: str) -> Names:
    """Return the names that annotations of a module use."""
    return Names(import_module(module_name))


def written_in(cls: type) -> Annotation:
    """Return a class as an annotation of the module that has it."""
    return Annotation(cls, names_of(cls.__module__))


# --- which call a route is


@cache
def _methods() -> dict[tuple[str, str], tuple[str, str, str]]:
    """Find the method behind every route: `{("POST", "/v1/customers/{}"): (module, class, method)}`."""
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    for path in sorted(_SDK.rglob("*_service.py")):
        source = path.read_text(encoding="utf-8")
        module = ".".join(("stripe", *path.relative_to(_SDK).with_suffix("").parts))
        service = _CLASS.search(source)
        for request in _REQUEST.finditer(source) if service else ():
            *_, method = _METHOD.finditer(source, 0, request.start())
            route = request[1].upper(), anonymous(request[2])
            found.setdefault(route, (module, service[1] if service else "", method[1]))
    return found


def anonymous(path: str) -> str:
    """Return a path whose placeholders have no names: simulator and SDK name them differently."""
    return re.sub(r"\{\w+\}", "{}", path)


@cache
def operation_of(method: str, path: str) -> Operation | None:
    """Return the call of a route such as `POST`, `/v1/customers/{id}`; None where the SDK has none."""
    found = _methods().get((method, anonymous(path)))
    if found is None:
        return None
    module, service, name = found
    names = names_of(module)
    hints = inspect.get_annotations(getattr(getattr(names.module, service), name))
    params = Annotation(hints["params"], names) if "params" in hints else None
    return Operation(params, Annotation(hints["return"], names))


# --- which fields a class has


@cache
def fields_of(cls: type) -> dict[str, Field]:
    """Return the fields of one of the SDK's classes, its bases' too."""
    if hasattr(cls, "__required_keys__"):
        return dict(_parameters(cls))
    fields: dict[str, Field] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("stripe"):
            names = names_of(base.__module__)
            for name, type in inspect.get_annotations(base).items():
                if name.islower() and not name.startswith("_"):
                    annotation = Annotation(type, names)
                    fields[name] = Field(annotation, not accepts_none(annotation))
    return fields


def _parameters(cls: Any) -> Iterator[tuple[str, Field]]:
    names = names_of(cls.__module__)
    for name, type in cls.__annotations__.items():
        if name not in RequestOptions.__annotations__:
            yield name, Field(Annotation(type, names), name in cls.__required_keys__)


def accepts_none(annotation: Annotation) -> bool:
    """Say whether a type is optional, without resolving more of it than its outermost text."""
    return type(None) in typing.get_args(annotation.resolved().type)


@cache
def class_named(object_name: str) -> type | None:
    """Return the class of objects whose `object` has this value, or None."""
    found = OBJECT_CLASSES.get(object_name) or V2_OBJECT_CLASSES.get(object_name)
    return getattr(import_module(found[0]), found[1]) if found else None


@cache
def thin_event_class(event_type: str, *, notification: bool) -> type | None:
    """Return the class of a thin event, as it is retrieved or, a `notification`, as it is delivered."""
    table = "_V2_EVENT_NOTIFICATION_CLASS_LOOKUP" if notification else "_V2_EVENT_CLASS_LOOKUP"
    found = getattr(_event_classes, table, {}).get(event_type)
    return getattr(import_module(found[0]), found[1]) if found else None
