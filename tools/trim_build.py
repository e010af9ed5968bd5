"""Make what `sam build` left start fast: take out what never runs in Lambda, and put compiled bytecode in.

    python3.13 tools/trim_build.py .aws-sam/build

Without bytecode every cold start compiles each imported module anew, since /opt and /var/task cannot be written. Only
Python 3.13, the functions' own runtime, makes bytecode that they use; another one leaves it out, and says so.
`unchecked-hash` files are used without a look at the source's date, which SAM's zip does not keep.
Source: https://docs.python.org/3/library/py_compile.html#py_compile.PycInvalidationMode
"""

from __future__ import annotations

import compileall
import gzip
import json
import py_compile
import shutil
import sys
from pathlib import Path
from typing import Any

# The services that the functions call. botocore knows some 400; their data is most of its size.
SERVICES = {"dynamodb", "events", "lambda", "secretsmanager", "sqs"}
RUNTIME = (3, 13)
UNUSED_FOLDERS = ("tests", "test", "__pycache__", "examples")
UNUSED_FILES = ("*.pyi", "py.typed", "examples-1.json*", "*.pyx", "*.pxd", "*.c", "*.h", "requirements.txt")


def trim(build: Path) -> None:
    """Trim and compile everything in SAM's build folder, and print what became of it."""
    before = _size(build)
    for layer in sorted(build.glob("*Layer/python")):
        _remove_unused(layer)
    is_runtime = sys.version_info[:2] == RUNTIME
    for folder in sorted(path for path in build.iterdir() if path.is_dir() and is_runtime):
        _compile(folder)
    became = "trimmed and compiled" if is_runtime else "trimmed"
    print(f"{build}: {before / 1e6:.1f} MB as sam build left it, {_size(build) / 1e6:.1f} MB {became}")
    if not is_runtime:
        print(
            "There is no Python 3.13 here, so no bytecode was put in: the functions do the same, but cold starts take "
            "up to three times as long (docs/benchmarks.md). Build for prod with a Python 3.13 on the PATH."
        )


def _remove_unused(packages: Path) -> None:
    data = packages / "botocore" / "data"
    if data.is_dir():
        for service in sorted(path for path in data.iterdir() if path.is_dir()):
            if service.name not in SERVICES:
                shutil.rmtree(service)
        for packed in data.rglob("*.json.gz"):
            # Unpacked once here rather than at every start.
            packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
            packed.unlink()
        _shorten_descriptions(data)
    # `boto3.resource`, which nothing here uses.
    shutil.rmtree(packages / "boto3" / "data", ignore_errors=True)
    # Read by pydantic at every start, in search of plugins; nothing else looks at them.
    for metadata in [*packages.glob("*.dist-info"), *packages.glob("*.data"), packages / "bin"]:
        shutil.rmtree(metadata, ignore_errors=True)
    for name in UNUSED_FOLDERS:
        for folder in sorted(packages.rglob(name), reverse=True):
            if folder.is_dir():
                shutil.rmtree(folder)
    for pattern in UNUSED_FILES:
        for file in packages.rglob(pattern):
            file.unlink()


def _shorten_descriptions(data: Path) -> None:
    """Leave of botocore's JSON what a client is made from: every start parses it, 1.8 MB of it for DynamoDB alone."""
    endpoints = data / "endpoints.json"
    if endpoints.is_file():
        known = json.loads(endpoints.read_bytes())
        for partition in known["partitions"]:
            partition["services"] = {name: value for name, value in partition["services"].items() if name in SERVICES}
        _write_compactly(endpoints, known)
    for description in data.rglob("service-2.json"):
        _write_compactly(description, _without_documentation(json.loads(description.read_bytes())))


def _without_documentation(described: Any) -> Any:
    # A shape's member may have this name too; what describes it is no text.
    if isinstance(described, dict):
        return {
            name: _without_documentation(value)
            for name, value in described.items()
            if not (name == "documentation" and isinstance(value, str))
        }
    return [_without_documentation(value) for value in described] if isinstance(described, list) else described


def _write_compactly(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")


def _compile(folder: Path) -> None:
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        # Tracebacks name files as Lambda has them.
        stripdir=str(folder),
        prependdir="/opt" if (folder / "python").is_dir() else "/var/task",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        sys.exit(f"{folder}: some files cannot be compiled")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
