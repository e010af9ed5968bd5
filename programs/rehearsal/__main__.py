"""Rehearse a deployment: python -m programs.rehearsal [--template template.yaml]."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from programs.local.cloudformation import TEMPLATE_PATH
from programs.local.dynamodb_local import DynamoDBLocalUnavailableError
from programs.rehearsal.package import BUILT
from programs.rehearsal.rehearsal import rehearse


def main() -> int:
    """Rehearse the deployment of the built template, else of the source."""
    parser = argparse.ArgumentParser(prog="make rehearse-deploy", description=__doc__)
    parser.add_argument("--template", type=Path, default=BUILT if BUILT.is_file() else TEMPLATE_PATH)
    template = parser.parse_args().template.resolve()
    warnings.simplefilter("ignore")
    print(f"Rehearsing {template} on moto, DynamoDB Local and the Stripe simulator; no AWS account is involved")
    try:
        return rehearse(template)
    except DynamoDBLocalUnavailableError as error:
        print(f"DynamoDB Local cannot be had: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
