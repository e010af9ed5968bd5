"""One `make local` for all tests of a file that look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.programs.local_process import Local, ready, started


@pytest.fixture(scope="module")
def local(dynamodb_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    running = started(tmp_path_factory.mktemp("local"))
    try:
        yield ready(running)
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
