"""A deployed stack: created, updated and deleted on the emulator; its functions, each in a process of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from programs.rehearsal.emulator import Emulator
from programs.rehearsal.package import BUCKET, ROOT, Package
from programs.rehearsal.resources import stand_in_for

WORKER = Path(__file__).with_name("worker.py")


class InvocationError(Exception):
    """What a function raised, or that its process died."""


class Process:
    """A process that responds to requests with the code of some folders."""

    def __init__(self, folders: list[Path], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                env={**environment, "PYTHONPATH": ":".join(map(str, folders))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def call(self, **request: Any) -> Any:
        """Make a request and return what came of it.

        Raises:
            InvocationError: the code raised, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise InvocationError(f"The process ended with {self._process.wait()}: {self._log.read_text()[-2000:]}")
        response = json.loads(line)
        if "error" in response:
            raise InvocationError(response["error"])
        return response["result"]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Deployment:
    """A stack of that name. `source` is the folder with the operator's command line that belongs to it."""

    def __init__(self, emulator: Emulator, name: str, *, source: Path = ROOT) -> None:
        self.emulator = emulator
        self.name = name
        self.source = source
        self._folder = tempfile.TemporaryDirectory(prefix="rehearsal-")
        self._processes: dict[str, Process] = {}
        self._cloudformation = emulator.client("cloudformation")

    # --- the stack

    def create(self, package: Package, parameters: Mapping[str, str]) -> None:
        """Create the stack."""
        self._cloudformation.create_stack(**self._arguments(package, parameters))

    def update(self, package: Package, parameters: Mapping[str, str]) -> None:
        """Update the stack; its functions start anew."""
        self._cloudformation.update_stack(**self._arguments(package, parameters))
        self.stop()

    def delete(self) -> None:
        """Delete the stack."""
        self.stop()
        self._cloudformation.delete_stack(StackName=self.name)

    def _arguments(self, package: Package, parameters: Mapping[str, str]) -> dict[str, Any]:
        s3 = self.emulator.client("s3")
        if not s3.list_buckets()["Buckets"]:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
        for key, archive in package.archives.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=archive)
        stand_in_for(set(package.types().values()))
        return {
            "StackName": self.name,
            "TemplateBody": json.dumps(_with_parameters_noticed(package.template, parameters)),
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def template(self) -> dict[str, Any]:
        """Return the template as it was deployed."""
        template = self._cloudformation.get_template(StackName=self.name)["TemplateBody"]
        return dict(json.loads(template) if isinstance(template, str) else template)

    def status(self) -> str:
        """Return the stack's status."""
        return str(self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        (stack,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    # --- its functions

    def configuration(self, function: str) -> dict[str, Any]:
        """Return a function's configuration as the emulator has it."""
        resources = self._cloudformation.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        (name,) = [each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == function]
        return dict(self.emulator.client("lambda").get_function_configuration(FunctionName=name))

    def variables(self, function: str) -> dict[str, str]:
        """Return the variables that the stack gave a function."""
        variables = self.configuration(function)["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()}

    def invoke(self, function: str, event: Any, **request: Any) -> Any:
        """Invoke a function at the emulators' time; `request` as in `worker`.

        Raises:
            InvocationError: it raised.
        """
        process = self._processes.get(function)
        if process is None:
            # Where emulators are, and nothing else, is told beside what the stack says.
            environment = {**self.variables(function), **self.emulator.environment}
            process = self._start(function, self._code(function), environment)
        handler = self.configuration(function)["Handler"]
        try:
            return process.call(now=self.emulator.simulator.clock.now(), handler=handler, event=event, **request)
        finally:
            if "dies" in request:
                self._processes.pop(function).stop()

    def operate(self, *command: str) -> str:
        """Run a command of the operator's on the stack, and return what it prints.

        Raises:
            InvocationError: it ended with another exit code than 0.
        """
        process = self._processes.get("operate")
        if process is None:
            folders = [self.source, self.source / "layers" / "billing"]
            process = self._start("operate", folders, {**self.emulator.environment, "COLUMNS": "120"})
        arguments = ["--stack", self.name, *command]
        ended = process.call(now=self.emulator.simulator.clock.now(), command=arguments)
        if ended["exit_code"] != 0:
            raise InvocationError(f"operate {' '.join(arguments)}: exit code {ended['exit_code']}\n{ended['text']}")
        return str(ended["text"])

    def _start(self, name: str, folders: list[Path], environment: Mapping[str, str]) -> Process:
        process = Process(folders, environment, Path(self._folder.name) / f"{name}.log")
        self._processes[name] = process
        return process

    def _code(self, function: str) -> list[Path]:
        """Unpack what a function runs: its own archive and those of its layers, as the deployed template names them."""
        resources = self.template()["Resources"]
        properties = resources[function]["Properties"]
        layers = [resources[layer["Ref"]]["Properties"]["Content"]["S3Key"] for layer in properties["Layers"]]
        return [self._unpacked(properties["Code"]["S3Key"]), *(self._unpacked(key) / "python" for key in layers)]

    def _unpacked(self, key: str) -> Path:
        folder = Path(self._folder.name) / key
        if not folder.is_dir():
            archive = self.emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
            with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                packed.extractall(folder)
        return folder

    def stop(self) -> None:
        """End the functions' processes."""
        for process in self._processes.values():
            process.stop()
        self._processes.clear()

    def close(self) -> None:
        """End the functions' processes and remove their code."""
        self.stop()
        self._folder.cleanup()


def _with_parameters_noticed(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Say the parameters in each function's metadata: moto overlooks those that only a condition names."""
    noticed = {
        name: {**resource, "Metadata": {"parameters": dict(parameters)}}
        if resource["Type"] == "AWS::Lambda::Function"
        else resource
        for name, resource in template["Resources"].items()
    }
    return {**template, "Resources": noticed}
