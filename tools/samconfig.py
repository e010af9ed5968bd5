"""What samconfig.toml deploys an environment with.

python -m tools.samconfig prod Architecture          # prints the parameter's value
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]  # has no type hints

SAMCONFIG = Path(__file__).parents[1] / "samconfig.toml"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The section of samconfig.toml that an environment is deployed with."""

    config_environment: str
    stack_name: str
    parameters: dict[str, str]


def deployment_of(environment: str, samconfig: Path = SAMCONFIG) -> Deployment:
    """Read an environment's section: `[default.deploy.parameters]` for dev, else the one of its own name."""
    config_environment = "default" if environment == "dev" else environment
    section = tomllib.loads(samconfig.read_text(encoding="utf-8")).get(config_environment, {}).get("deploy")
    if section is None:
        sys.exit(f"{samconfig.name} has no [{config_environment}.deploy.parameters]: there is no ENV={environment}")
    settings = section["parameters"]
    return Deployment(config_environment, settings["stack_name"], _parameters(settings["parameter_overrides"]))


def _parameters(overrides: list[str]) -> dict[str, str]:
    """Return the parameters, or exit with those that SAM, which ends a value at a space, would cut without a word."""
    read: dict[str, str] = CfnParameterOverridesType().convert(overrides, None, None)
    for override in overrides:
        name, _, value = override.partition("=")
        if read.get(name) != value.strip('"'):
            sys.exit(f'{override}: SAM reads it as {read.get(name)!r}. Write a list without spaces, and nothing as ""')
    return read


if __name__ == "__main__":
    print(deployment_of(sys.argv[1]).parameters[sys.argv[2]])
