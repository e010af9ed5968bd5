"""The emulators: moto's CloudFormation and what it makes, DynamoDB Local, and the Stripe simulator, on one clock."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from programs.local.dynamodb_local import running_dynamodb_local
from programs.rehearsal.resources import taught
from stripe_simulator import Simulator, running_simulator

REGION = "eu-central-1"
STRIPE_KEY = "sk_test_simulator"


@dataclass(frozen=True, slots=True)
class Emulator:
    """Running emulators."""

    aws_endpoint: str
    dynamodb_endpoint: str
    simulator: Simulator

    @property
    def environment(self) -> dict[str, str]:
        """Return what leads a process here, instead of to AWS and to Stripe."""
        return {
            "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.aws_endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_endpoint,
            "STRIPE_API_BASE": self.simulator.base_url,
            "STRIPE_METER_EVENTS_BASE": self.simulator.base_url,
        }

    def client(self, service: str) -> Any:
        """Return a client of an emulated AWS service."""
        import boto3

        is_dynamodb = service == "dynamodb"
        endpoint = self.dynamodb_endpoint if is_dynamodb else self.aws_endpoint
        # Not the process's default session, which keeps the key that it was first used with.
        session = boto3.Session(os.environ["AWS_ACCESS_KEY_ID"], "rehearsal", region_name=REGION)
        return session.client(service, endpoint_url=endpoint)  # type: ignore[call-overload]  # named at run time


@contextlib.contextmanager
def running_emulator(dynamodb_endpoint: str | None = None) -> Iterator[Emulator]:
    """Run all of them, but a DynamoDB Local that runs already; the access key, and so the tables, are their own."""
    from moto.core.config import default_user_config
    from moto.moto_api._internal.models import moto_api_backend
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    ours = {
        "AWS_ACCESS_KEY_ID": f"rehearsal{os.getpid()}",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
    with contextlib.ExitStack() as stack:
        # The functions' code runs in processes of its own, so moto needs no Docker for it.
        stack.enter_context(mock.patch.dict(default_user_config, {"lambda": {"use_docker": False}}))
        stack.enter_context(mock.patch.dict(os.environ, ours))
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
        endpoint = dynamodb_endpoint or stack.enter_context(running_dynamodb_local()).endpoint
        stack.enter_context(taught(endpoint))
        simulator = stack.enter_context(running_simulator())
        for name in ("werkzeug", "samtranslator"):  # else each request is a line, and each transform a warning
            logging.getLogger(name).setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        stack.callback(server.stop)
        host, port = server.get_host_and_port()
        # What moto keeps of these stacks must not reach another rehearsal of this process.
        stack.callback(moto_api_backend.reset)
        yield Emulator(f"http://{host}:{port}", endpoint, simulator)
