"""Asking for a run that does not wait for the schedule: an organisation's draft invoice waits for its hours."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from billing import clock
from billing.settings import metering_function
from billing.telemetry import described, logger

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# In these minutes of an hour its scheduled run is about to begin or at work: template.yaml, `cron(5 * * * ? *)`.
MINUTES_OF_THE_SCHEDULE = range(10)
# API Gateway waits 30 seconds for the billing API, which has Stripe to ask as well.
LONGEST_RUN_SECONDS = 15


@cache
def lambda_client() -> LambdaClient:
    """Return the process's only client of Lambda, made on first use."""
    # Imported here: hardly any invocation asks for a run, and all of them would wait for the import.
    import boto3

    return boto3.client("lambda", config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2}))


@cache
def waiting_lambda_client() -> LambdaClient:
    """Return the process's only client of Lambda that waits for a function to end, made on first use."""
    import boto3

    config = Config(connect_timeout=2, read_timeout=LONGEST_RUN_SECONDS, retries={"total_max_attempts": 1})
    return boto3.client("lambda", config=config)


def run_now(organization_id: str) -> None:
    """Have all due hours of an organisation sent, the running one too, and wait for it as long as a caller can.

    Nothing is said of how it went: the hours themselves say what is still due. So a run that fails, is throttled or
    takes too long is only logged.
    """
    if not metering_function():
        return
    payload = json.dumps({"organization_id": organization_id, "running_hour": True}).encode()
    try:
        response = waiting_lambda_client().invoke(
            FunctionName=metering_function(), InvocationType="RequestResponse", Payload=payload
        )
    except (BotoCoreError, ClientError) as error:
        extra = {"organization_id": organization_id} | described(error)
        logger.warning("A run that was waited for did not end", extra=extra)
    else:
        extra = {"organization_id": organization_id, "function_error": response.get("FunctionError")}
        logger.info("A run was waited for: a subscription is to end at once", extra=extra)


def request_run(organization_id: str) -> None:
    """Have an organisation's due hours sent now; in the minutes of the scheduled run that is left to it.

    Nothing rests on it: where no run can be asked for, that is logged, and the next scheduled one sends the hours.
    """
    if not metering_function() or clock.utc_now().minute in MINUTES_OF_THE_SCHEDULE:
        return
    payload = json.dumps({"organization_id": organization_id}).encode()
    fields = {"organization_id": organization_id}
    try:
        lambda_client().invoke(FunctionName=metering_function(), InvocationType="Event", Payload=payload)
    except (BotoCoreError, ClientError) as error:
        logger.warning(
            "A run could not be asked for; the next scheduled one sends the hours", extra=fields | described(error)
        )
    else:
        logger.info("A run was asked for: a draft invoice waits for hours that are due", extra=fields)
