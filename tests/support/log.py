"""The functions' log, which a command of the operator's turns to standard error and quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billing import telemetry


@contextmanager
def restored_log() -> Iterator[None]:
    """Put the log back as it was."""
    log = telemetry.logger
    level = log.log_level
    streams = [(handler, handler.stream) for handler in log.handlers if hasattr(handler, "stream")]
    try:
        yield
    finally:
        log.setLevel(level)
        for handler, stream in streams:
            handler.stream = stream
