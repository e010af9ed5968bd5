"""Deploy an environment of samconfig.toml: say what goes where, refuse what AWS would refuse late, then `sam deploy`.

python -m tools.deploy prod                          # and whatever `sam deploy` takes
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import boto3

from tools.samconfig import deployment_of

# `STACK-usage-metering-dead-letters.fifo` is the longest name that the template makes; SQS takes 80 characters.
LONGEST_STACK_NAME = 47


def command(arguments: Sequence[str]) -> list[str]:
    """Return `sam deploy` with all its options, or exit with what would not work."""
    parser = argparse.ArgumentParser(prog="make deploy", add_help=False, allow_abbrev=False)
    parser.add_argument("environment")
    parser.add_argument("--stack-name")
    parser.add_argument("--region")
    parser.add_argument("--profile")
    known, others = parser.parse_known_args(arguments)
    deployment = deployment_of(known.environment)
    stack = known.stack_name or deployment.stack_name
    region = known.region or boto3.Session(profile_name=known.profile).region_name
    if not region:
        sys.exit("There is no AWS region: set AWS_DEFAULT_REGION, or a region for your profile (aws configure)")
    if len(stack) > LONGEST_STACK_NAME:
        sys.exit(
            f"{stack}: {len(stack)} characters; a stack's name may have {LONGEST_STACK_NAME}, for its queues carry it"
        )
    print(f"Deploying {stack} to {region}", flush=True)
    profile = ["--profile", known.profile] if known.profile else []
    target = ["--config-env", deployment.config_environment, "--stack-name", stack, "--region", region]
    return ["sam", "deploy", *target, *profile, *others]


if __name__ == "__main__":
    sam = command(sys.argv[1:])
    os.execvp(sam[0], sam)  # noqa: S606  # no shell is wanted
