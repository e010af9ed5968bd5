"""What samconfig.toml deploys: every parameter, in every environment, as SAM reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs.local.cloudformation import read_template
from tools.samconfig import deployment_of

PARAMETERS = read_template()["Parameters"]


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_every_parameter_stands_there_for_sam_would_send_the_previous_value_of_another(environment: str) -> None:
    deployment = deployment_of(environment)

    assert set(deployment.parameters) == set(PARAMETERS)
    assert deployment.parameters["Environment"] == environment


@pytest.fixture
def samconfig(tmp_path: Path) -> Path:
    return tmp_path / "samconfig.toml"


@pytest.mark.parametrize("override", ["AllowedRedirectHosts=a.example.com, b.example.com", "LogLevel=INFO ,x"])
def test_a_value_that_sam_would_cut_at_a_space_is_refused(samconfig: Path, override: str) -> None:
    samconfig.write_text(f'[default.deploy.parameters]\nstack_name = "a"\nparameter_overrides = ["{override}"]\n')

    with pytest.raises(SystemExit, match="SAM reads it as"):
        deployment_of("dev", samconfig)


def test_an_environment_that_does_not_stand_there_is_refused(samconfig: Path) -> None:
    samconfig.write_text('[default.deploy.parameters]\nstack_name = "a"\nparameter_overrides = []\n')

    with pytest.raises(SystemExit, match=r"\[production.deploy.parameters\]"):
        deployment_of("production", samconfig)
