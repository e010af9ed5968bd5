"""The calls that the functions make to AWS, watched on their way out: which permission on which resource each needs.

DynamoDB is DynamoDB Local; EventBridge, SQS and Secrets Manager get their responses here. What each call needs:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_secrets import secrets_reader
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET
from tests.template.permissions import BUS

QUEUE_ADDRESS = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
INVOCATIONS = "/2015-03-31/functions/"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:StripeSecret-AbCdEf"
TRANSACTION_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


class Recorder:
    """A note of which function makes which call."""

    def __init__(self) -> None:
        self.function = ""
        self.calls: dict[str, dict[str, set[str]]] = {}
        self._send = URLLib3Session.send

    def handling(self, function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Return the handler, with its calls noted."""

        def handle(event: Any, context: Any) -> Any:
            # As in a new Lambda environment: clients and secrets are made by the function itself.
            secrets_reader.cache_clear()
            stripe_gateway.cache_clear()
            before, self.function = self.function, function
            try:
                return handler(event, context)
            finally:
                self.function = before

        return handle

    def send(self, session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        """Note a request's actions and respond to it, or send it to DynamoDB Local."""
        if urlsplit(request.url).path.startswith(INVOCATIONS):
            return self._accept_invocation(request)
        service, operation = _text(request.headers["X-Amz-Target"]).split(".")
        body: bytes = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        parameters = json.loads(body)
        if self.function:
            for action, resource in _needed(service, operation, parameters):
                self.calls.setdefault(self.function, {}).setdefault(resource, set()).add(action)
        if service.startswith("DynamoDB"):
            return self._send(session, request)
        return _responded(request, 200, json.dumps(_response(operation, parameters)))

    def _accept_invocation(self, request: AWSPreparedRequest) -> AWSResponse:
        function = urlsplit(request.url).path.removeprefix(INVOCATIONS).removesuffix("/invocations")
        self.calls.setdefault(self.function, {}).setdefault(function, set()).add("lambda:InvokeFunction")
        return _responded(request, 202, "")


def _responded(request: AWSPreparedRequest, status: int, body: str) -> AWSResponse:
    raw: Any = BytesIO(body.encode())
    raw.stream = lambda **_: iter([raw.read()])
    headers: Any = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, raw)


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def _needed(service: str, operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if service == "AWSEvents":
        yield f"events:{operation}", BUS
    elif service == "AmazonSQS":
        queue = parameters["QueueUrl"].removeprefix(QUEUE_ADDRESS)
        yield f"sqs:{operation.removesuffix('Batch')}", queue
    elif service == "secretsmanager":
        yield f"secretsmanager:{operation}", "StripeSecret"
    elif operation == "BatchGetItem":
        for table in parameters["RequestItems"]:
            yield "dynamodb:BatchGetItem", table
    elif operation == "TransactWriteItems":
        for item in parameters["TransactItems"]:
            ((kind, values),) = item.items()
            yield f"dynamodb:{TRANSACTION_ACTIONS[kind]}", values["TableName"]
    elif operation in ("BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction"):
        for statement in parameters.get("Statements") or parameters.get("TransactStatements") or [parameters]:
            match = re.match(r'\s*(\w+)(?:\s.*?FROM)?\s+"?(\w+)"?', statement["Statement"], re.DOTALL)
            assert match, statement
            yield f"dynamodb:PartiQL{match[1].capitalize()}", match[2]
    else:
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield f"dynamodb:{operation}", parameters["TableName"] + index


def _response(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    def digest(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    if operation == "GetSecretValue":
        secrets = {"api_key": "sk_test_simulator", "webhook_secrets": [SNAPSHOT_SECRET, THIN_SECRET]}
        return {"ARN": SECRET_ARN, "Name": "StripeSecret", "SecretString": json.dumps(secrets)}
    if operation == "PutEvents":
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in parameters["Entries"]]}
    if operation == "SendMessage":
        return {"MessageId": "1", "MD5OfMessageBody": digest(parameters["MessageBody"])}
    assert operation == "SendMessageBatch", operation
    return {
        "Successful": [
            {"Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": digest(entry["MessageBody"])}
            for entry in parameters["Entries"]
        ]
    }
