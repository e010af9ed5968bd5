"""See that everything built is for one architecture, and let the built template be deployed with no other.

    python -m tools.built_architecture .aws-sam/build arm64

Whoever deploys the built template with another `Architecture`, also without `make`, is refused by CloudFormation before
anything is changed: else the functions would find libraries that they cannot load.
"""

from __future__ import annotations

import sys
from pathlib import Path

from samcli.yamlhelper import yaml_dump, yaml_parse  # type: ignore[import-untyped]  # has no type hints

# e_machine of an ELF header, at byte 18, by what Lambda calls it: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
ARCHITECTURES = {0x3E: "x86_64", 0xB7: "arm64"}


def architecture_of(library: Path) -> str:
    """Return the architecture that a shared library is for."""
    with library.open("rb") as file:
        header = file.read(20)
    machine = int.from_bytes(header[18:20], "little") if header.startswith(b"\x7fELF") else 0
    return ARCHITECTURES.get(machine, f"something else ({header[:4]!r}, {machine:#x})")


def check_libraries(build: Path, architecture: str) -> int:
    """Return how many shared libraries there are, or exit with those that are for another architecture."""
    libraries = {path: architecture_of(path) for path in sorted(build.rglob("*.so"))}
    foreign = [
        f"{path.relative_to(build)} is for {other}" for path, other in libraries.items() if other != architecture
    ]
    if foreign:
        sys.exit("\n".join([f"Not everything was built for {architecture}; run make clean build:", *foreign]))
    return len(libraries)


def allow_only(architecture: str, template: Path) -> None:
    """Leave the built template's parameter `Architecture` no other value."""
    content = yaml_parse(template.read_text(encoding="utf-8"))
    content["Parameters"]["Architecture"] |= {
        "AllowedValues": [architecture],
        "Default": architecture,
        "ConstraintDescription": f"{architecture}: this was built for it; make builds for what samconfig.toml says",
    }
    template.write_text(yaml_dump(content), encoding="utf-8")


if __name__ == "__main__":
    folder, wanted = Path(sys.argv[1]), sys.argv[2]
    print(f"{folder}: {check_libraries(folder, wanted)} libraries, all for {wanted}")
    allow_only(wanted, folder / "template.yaml")
