"""What `make deploy` says and refuses before it begins."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from programs.local.cloudformation import read_template
from tests.template.source import ROOT
from tools.deploy import LONGEST_STACK_NAME, command
from tools.samconfig import deployment_of

LONGEST_QUEUE_NAME = 80


def test_it_says_which_stack_goes_to_which_region(capsys: pytest.CaptureFixture[str]) -> None:
    stack = deployment_of("prod").stack_name
    sam = command(["prod", "--no-execute-changeset"])

    assert capsys.readouterr().out == f"Deploying {stack} to eu-central-1\n"
    assert sam == [
        *("sam", "deploy", "--config-env", "prod", "--stack-name", stack),
        *("--region", "eu-central-1", "--no-execute-changeset"),
    ]


def test_the_region_is_the_user_s(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert command(["dev"])[-1] == "us-west-2"
    assert "eu-north-1" in command(["dev", "--region", "eu-north-1"])


def test_the_region_of_a_profile_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = sa-east-1\n[profile billing]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert "sa-east-1" in command(["dev"])
    assert command(["dev", "--profile", "billing"])[-4:] == ["--region", "ap-south-1", "--profile", "billing"]


def test_no_region_is_refused_by_the_name_of_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    # The tests' AWS_REGION is there: boto3 does not look at it.
    with pytest.raises(SystemExit, match="set AWS_DEFAULT_REGION"):
        command(["dev"])


@pytest.mark.parametrize("name", ["samconfig.toml", "Makefile"])
def test_no_file_of_ours_names_a_region_to_deploy_to(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if re.search(r"[a-z]{2}-[a-z]+-\d", line) and "sam validate" not in line] == []


def test_make_takes_the_region_that_the_aws_command_takes() -> None:
    ran = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "region"],
        input=f"include {ROOT}/Makefile\nregion:\n\t@echo $$AWS_DEFAULT_REGION\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "eu-north-1"},
    )

    assert ran.stdout.splitlines()[-1:] == ["us-west-2"], ran.stderr


def test_a_stack_s_name_that_a_queue_s_would_be_too_long_with_is_refused() -> None:
    assert command(["dev", "--stack-name", "s" * LONGEST_STACK_NAME])
    with pytest.raises(SystemExit, match="48 characters; a stack's name may have 47"):
        command(["dev", "--stack-name", "s" * (LONGEST_STACK_NAME + 1)])


def test_the_longest_name_of_a_stack_is_the_template_s() -> None:
    queues = [item["Properties"] for item in read_template()["Resources"].values() if item["Type"] == "AWS::SQS::Queue"]
    added = [len(queue["QueueName"]["Fn::Sub"]) - len("${AWS::StackName}") for queue in queues if "QueueName" in queue]

    assert max(added) + LONGEST_STACK_NAME == LONGEST_QUEUE_NAME
