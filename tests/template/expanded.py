"""The template as CloudFormation would see it: SAM's transform applied, parameters and conditions resolved."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

from programs.local.cloudformation import read_template

Resource = dict[str, Any]
_NO_VALUE = object()


@dataclass(frozen=True)
class ExpandedTemplate:
    """The expanded resources by logical id."""

    resources: dict[str, Resource]

    def of_type(self, resource_type: str) -> dict[str, Resource]:
        return {name: item for name, item in self.resources.items() if item["Type"] == resource_type}

    def properties(self, logical_id: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resources[logical_id]["Properties"]
        return properties

    def environment(self, function: str) -> dict[str, Any]:
        variables: dict[str, Any] = self.properties(function)["Environment"]["Variables"]
        return variables

    def statements(self, function: str) -> list[dict[str, Any]]:
        """Return the statements of the function's role, with actions and resources as lists."""
        role = self.properties(referred(self.properties(function)["Role"]))
        return role_statements(role)


def role_statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a role's statements, with actions and resources as lists."""
    statements = [
        statement for policy in role.get("Policies", []) for statement in policy["PolicyDocument"]["Statement"]
    ]
    return [
        {**statement, "Action": _as_list(statement["Action"]), "Resource": _as_list(statement["Resource"])}
        for statement in statements
    ]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def referred(value: Any) -> str:
    """Return the logical id (or `Id/index/name`) that a reference names: `Ref`, `GetAtt`, or one in `Sub`."""
    if isinstance(value, dict):
        if "Ref" in value:
            return str(value["Ref"])
        if "Fn::GetAtt" in value:
            attribute = value["Fn::GetAtt"]
            return str(attribute[0] if isinstance(attribute, list) else attribute.split(".")[0])
        if "Fn::Sub" in value:
            return re.sub(r"\$\{(\w+)(\.\w+)?\}", r"\1", str(value["Fn::Sub"]))
    return str(value)


def expand(**parameters: str) -> ExpandedTemplate:
    """Expand the template offline, with the given parameters in place of their defaults."""
    return _expand(tuple(sorted(parameters.items())))


@cache
def _expand(parameters: tuple[tuple[str, str], ...]) -> ExpandedTemplate:
    # Slow to import, and needed by these tests only.
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    template = copy.deepcopy(read_template())
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if resource["Type"].startswith("AWS::Serverless::") and name in resource["Properties"]:
                resource["Properties"][name] = "s3://bucket/key"
    with mock.patch.dict(os.environ, AWS_DEFAULT_REGION="eu-central-1"), contextlib.redirect_stdout(io.StringIO()):
        expanded = Translator({}, Parser()).translate(template, dict(parameters))
    values = {name: item.get("Default", "") for name, item in template["Parameters"].items()} | dict(parameters)
    conditions = {name: _resolved(condition, values, {}) for name, condition in expanded.get("Conditions", {}).items()}
    resources = {
        name: _resolved(resource, values, conditions)
        for name, resource in json.loads(json.dumps(expanded["Resources"])).items()
        if conditions.get(resource.get("Condition"), True)
    }
    return ExpandedTemplate(resources)


def _resolved(value: Any, parameters: dict[str, Any], conditions: dict[str, bool]) -> Any:
    if isinstance(value, list):
        items = [_resolved(item, parameters, conditions) for item in value]
        return [item for item in items if item is not _NO_VALUE]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return _NO_VALUE
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Ref" and argument in parameters:
            return parameters[argument]
        if function == "Fn::Equals":
            left, right = _resolved(argument, parameters, conditions)
            return str(left) == str(right)
        if function == "Fn::Not":
            return not _resolved(argument[0], parameters, conditions)
        if function == "Fn::If":
            condition, yes, no = argument
            return _resolved(yes if conditions[condition] else no, parameters, conditions)
    properties = {name: _resolved(item, parameters, conditions) for name, item in value.items()}
    return {name: item for name, item in properties.items() if item is not _NO_VALUE}
