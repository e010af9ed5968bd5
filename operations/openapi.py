"""Write the billing API's OpenAPI document: `python -m operations.openapi > docs/openapi.json`."""

from __future__ import annotations

import json
from typing import Any

from billing.api.routes import app
from billing.telemetry import logger

TITLE = "Billing API"
VERSION = "1.0"
DESCRIPTION = (
    "Subscribes an organisation and tells its usage. Requests are signed with AWS credentials (Signature Version 4, "
    "service execute-api) or, where the stack has a token issuer, carry a token whose claim names the organisation."
)


def document() -> dict[str, Any]:
    """Return the document, made from the routes and models themselves."""
    text = app.get_openapi_json_schema(title=TITLE, version=VERSION, description=DESCRIPTION)
    made: dict[str, Any] = json.loads(text)
    for operations in made["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    _drop_unused_schemas(made)
    return made


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Say that a parameter can be left out only by leaving it out: no text in an address is null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **choices[0]}


def _drop_unused_schemas(made: dict[str, Any]) -> None:
    """Remove the schemas of Powertools' own error responses, which ours replace."""
    schemas = made["components"]["schemas"]
    while unused := [name for name in schemas if f'"#/components/schemas/{name}"' not in json.dumps(made)]:
        for name in unused:
            del schemas[name]


if __name__ == "__main__":
    logger.setLevel("ERROR")
    print(json.dumps(document(), indent=2, ensure_ascii=False))
