"""The one DynamoDB Local of a test run: the first test that needs it starts it, and every worker uses it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path

from programs.local import dynamodb_local

FOLDER_VARIABLE = "SENSOR_BILLING_TEST_RUN_FOLDER"


def open_folder() -> None:
    """Make the folder through which the run's workers share the server; they inherit its name."""
    os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="sensor-billing-tests-")


def start_once() -> dynamodb_local.DynamoDBLocal:
    """Return the run's server, started where nobody has yet.

    Raises:
        DynamoDBLocalUnavailableError: it cannot be had on this machine; only the first call tries.
    """
    folder = Path(os.environ[FOLDER_VARIABLE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _read(folder)
        if server is None:
            try:
                # Not stopped with this worker: others may still use it. `stop` does, at the end of the run.
                server = dynamodb_local.start(stop_at_exit=False)
            except dynamodb_local.DynamoDBLocalUnavailableError as error:
                server = str(error)
            _write(folder, server)
    if isinstance(server, str):
        raise dynamodb_local.DynamoDBLocalUnavailableError(server)
    return server


def stop() -> None:
    """Stop the run's server, if there is one, and remove the folder."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    server = _read(folder)
    if isinstance(server, dynamodb_local.DynamoDBLocal):
        dynamodb_local.stop(server)
    shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> dynamodb_local.DynamoDBLocal | str | None:
    """Return the server, or why it cannot be had, or None where nobody has tried."""
    try:
        content = json.loads((folder / "dynamodb.json").read_text())
    except FileNotFoundError:
        return None
    if "unavailable" in content:
        return str(content["unavailable"])
    return dynamodb_local.DynamoDBLocal(**content)


def _write(folder: Path, server: dynamodb_local.DynamoDBLocal | str) -> None:
    content: dict[str, str | int | None]
    if isinstance(server, str):
        content = {"unavailable": server}
    else:
        content = {"endpoint": server.endpoint, "process_id": server.process_id}
    (folder / "dynamodb.json").write_text(json.dumps(content))
