"""What is left of a build, and what is put in."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.template.source import LAYER
from tools import trim_build


@pytest.fixture
def build(tmp_path: Path) -> Path:
    files = {
        "BillingLayer/python/billing/__init__.py": "A = 1\n",
        "BillingLayer/python/billing/tests/test_a.py": "",
        "DependenciesLayer/python/botocore/data/lambda/2015-03-31/service-2.json": "{}",
        "DependenciesLayer/python/botocore/data/ec2/2016-11-15/service-2.json": "{}",
        "BillingApiFunction/app.py": "A = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_never_runs_is_taken_out(build: Path) -> None:
    trim_build.trim(build)

    assert [path.name for path in (build / "DependenciesLayer/python/botocore/data").iterdir()] == ["lambda"]
    assert not (build / "BillingLayer/python/billing/tests").exists()


def test_bytecode_of_the_runtime_s_version_is_put_in(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trim_build, "RUNTIME", sys.version_info[:2])
    trim_build.trim(build)

    assert len(list(build.rglob("*.pyc"))) == 2


def test_another_python_puts_none_in_and_says_so(
    build: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trim_build, "RUNTIME", (3, 1))
    trim_build.trim(build)

    assert not list(build.rglob("*.pyc"))
    assert "no bytecode was put in" in capsys.readouterr().out


def test_the_descriptions_of_every_service_that_the_code_calls_stay() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in LAYER.rglob("*.py"))
    called = set(re.findall(r'\bclient\(\s*"(\w+)"', source))

    # PynamoDB and Powertools make clients of these two by themselves.
    assert called | {"dynamodb", "secretsmanager"} == trim_build.SERVICES
