"""A template and its code, put where CloudFormation finds them: what `sam package` does, and SAM's transform.

The template is the built one (`sam build`), else the source with its folders. Of the layer with the libraries only its
list is packaged: the functions run with the libraries of this environment, which are the same versions.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.local.cloudformation import read_template

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
BUCKET = "sensor-billing-rehearsal"
CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
LIBRARIES = "DependenciesLayer"


@dataclass(frozen=True, slots=True)
class Package:
    """A template in CloudFormation's own terms, and the archives that it names, by key in the bucket."""

    template: dict[str, Any]
    archives: Mapping[str, bytes]

    def types(self) -> dict[str, str]:
        """Return the type of each resource."""
        return {name: resource["Type"] for name, resource in self.template["Resources"].items()}


def packaged(
    template_path: Path, parameters: Mapping[str, str], *, appended: Mapping[str, str] | None = None
) -> Package:
    """Package a template; `appended` is text to put at the end of a function's `app.py`, by logical id."""
    template = copy.deepcopy(read_template(template_path))
    archives: dict[str, bytes] = {}
    for name, resource in template["Resources"].items():
        where = CODE.get(resource["Type"])
        if where is not None:
            folder = template_path.parent / resource["Properties"][where]
            archive = _archive(name, folder, (appended or {}).get(name, ""))
            key = f"{name}-{hashlib.sha256(archive).hexdigest()[:32]}.zip"
            archives[key] = archive
            resource["Properties"][where] = f"s3://{BUCKET}/{key}"
    return Package(_transformed(template, parameters), archives)


def _archive(name: str, folder: Path, appended: str) -> bytes:
    """Zip a folder, the same bytes for the same content; a layer's packages go into python/, if they are not there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    if name == LIBRARIES:
        files = [path for path in files if path.name == "requirements.txt"]
    prefix = "python/" if name.endswith("Layer") and not (folder / "python").is_dir() else ""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in files:
            relative = path.relative_to(folder).as_posix()
            content = path.read_bytes() + (appended.encode() if relative == "app.py" else b"")
            archive.writestr(zipfile.ZipInfo(prefix + relative), content)
        archive.writestr(zipfile.ZipInfo("NAME"), name)
    return packed.getvalue()


def _transformed(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    # Slow to import, and needed here only.
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    values = {name: str(item.get("Default", "")) for name, item in template["Parameters"].items()} | dict(parameters)
    with contextlib.redirect_stdout(io.StringIO()):
        transformed = Translator({}, Parser()).translate(copy.deepcopy(template), values)
    transformed.pop("Transform", None)
    plain: dict[str, Any] = json.loads(json.dumps(transformed, default=str))
    for resource in plain["Resources"].values():
        # moto knows Retain only, which does the same once the stack is there.
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"
    return plain
