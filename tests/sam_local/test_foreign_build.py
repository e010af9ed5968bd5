"""A build for a processor that this machine does not have, and on one without Python 3.13."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from programs.local.cloudformation import read_template
from programs.local.lambda_image import ARCHITECTURE
from tests.template.source import ROOT

pytestmark = pytest.mark.sam_local

FOREIGN = "x86_64" if ARCHITECTURE == "arm64" else "arm64"
# e_machine in an ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
E_MACHINE = {"x86_64": 0x3E, "arm64": 0xB7}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build for the other processor, where `python3.13` on the PATH does not run, as pyenv's shims may not."""
    folder = tmp_path_factory.mktemp("foreign")
    shim = folder / "bin" / "python3.13"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    path = os.pathsep.join([str(shim.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        [ROOT / "tools" / "build.sh", folder],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PATH": path, "ARCHITECTURE": FOREIGN},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "build"


def test_every_library_is_for_the_foreign_processor(build: Path) -> None:
    machines = {path: int.from_bytes(path.read_bytes()[18:20], "little") for path in build.rglob("*.so")}

    assert len(machines) >= 3
    assert set(machines.values()) == {E_MACHINE[FOREIGN]}


def test_every_function_and_layer_holds_its_code(build: Path) -> None:
    template = read_template(build / "template.yaml")
    functions = [name for name, item in template["Resources"].items() if item["Type"] == "AWS::Serverless::Function"]

    assert {(build / name / "app.py").is_file() for name in functions} == {True}
    assert (build / "BillingLayer" / "python" / "billing" / "__init__.py").is_file()
    assert {path.name for path in (build / "DependenciesLayer" / "python").iterdir()} >= {"stripe", "boto3", "pydantic"}


def test_the_built_template_can_be_deployed_for_that_processor_only(build: Path) -> None:
    parameter = read_template(build / "template.yaml")["Parameters"]["Architecture"]

    assert (parameter["AllowedValues"], parameter["Default"]) == ([FOREIGN], FOREIGN)


def test_what_is_built_for_one_processor_is_not_taken_for_another(build: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.built_architecture", build, ARCHITECTURE],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert ran.returncode == 1
    assert "pydantic_core" in ran.stderr
    assert f"is for {FOREIGN}" in ran.stderr
