"""What is left of a build, and what is put in."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import botocore
import botocore.session
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


@pytest.fixture(scope="module")
def trimmed_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Botocore's own data of the services, trimmed."""
    build = tmp_path_factory.mktemp("build")
    whole, data = Path(botocore.__file__).parent / "data", build / "DependenciesLayer/python/botocore/data"
    for name in trim_build.SERVICES:
        shutil.copytree(whole / name, data / name)
    for file in whole.glob("*.json*"):
        shutil.copy(file, data)
    trim_build.trim(build)
    return data


def _session(data: Path | None) -> botocore.session.Session:
    session = botocore.session.Session()
    if data is not None:
        session.get_component("data_loader").search_paths.insert(0, str(data))
    session.set_credentials("key", "secret")
    return session


def _without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name != "documentation" or not isinstance(each, str)}
        return {name: _without_documentation(each) for name, each in kept.items()}
    return [_without_documentation(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("service", sorted(trim_build.SERVICES))
def test_a_client_made_from_what_is_left_calls_the_same_at_the_same_addresses(trimmed_data: Path, service: str) -> None:
    left, whole = _session(trimmed_data), _session(None)
    loaded = left.get_component("data_loader").load_service_model(service, "service-2")

    assert loaded == _without_documentation(whole.get_component("data_loader").load_service_model(service, "service-2"))
    for region in ("eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"):
        addresses = [session.create_client(service, region_name=region).meta.endpoint_url for session in (left, whole)]
        assert addresses[0] == addresses[1]


def test_what_describes_the_services_is_a_fraction_of_what_it_was(trimmed_data: Path) -> None:
    endpoints = json.loads((trimmed_data / "endpoints.json").read_bytes())

    assert {name for partition in endpoints["partitions"] for name in partition["services"]} <= trim_build.SERVICES
    assert (trimmed_data / "endpoints.json").stat().st_size < 50_000
    assert '"documentation":"' not in (trimmed_data / "dynamodb/2012-08-10/service-2.json").read_text()
