"""The image in which the built functions run on this machine, as they do in Lambda."""

from __future__ import annotations

import platform

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
