"""`sam local`: the built functions in the Lambda image, against the servers of `make local`."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from programs.local.dynamodb_local import die_with_parent
from programs.local.environment import CONTAINERS_HOST, ROOT
from programs.local.lambda_image import IMAGE

SAM = Path(sys.executable).with_name("sam")
BUILT_TEMPLATE = ROOT / ".aws-sam" / "build" / "template.yaml"
START_SECONDS, STOP_SECONDS = 180, 20


class SamUnavailableError(Exception):
    """Functions cannot run in containers here; the message says what is missing and what to do."""


def check() -> None:
    """Look for all that `sam local` needs.

    Raises:
        SamUnavailableError: something is missing.
    """
    if not SAM.is_file():
        raise SamUnavailableError(f"There is no SAM CLI at {SAM}: run `make environment`.")
    docker = shutil.which("docker")
    if docker is None:
        raise SamUnavailableError("Docker is not installed. `make local` alone needs none.")
    if subprocess.run([docker, "info"], capture_output=True, timeout=60).returncode != 0:
        raise SamUnavailableError("Docker does not respond: is it running, and may you use it? Look at `docker info`.")
    if not BUILT_TEMPLATE.is_file():
        raise SamUnavailableError("The functions are not built: run `make build`.")


def options(containers: Path) -> list[str]:
    """Return the options with which a container reaches the servers."""
    chosen = ["--env-vars", str(containers), "--add-host", f"{CONTAINERS_HOST}:host-gateway"]
    # Where the image is here, nothing is asked of a registry, which may be out of reach.
    is_here = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode == 0
    return [*chosen, "--skip-pull-image"] if is_here else chosen


@contextlib.contextmanager
def serving(containers: Path, port: int, log: Path) -> Iterator[None]:
    """Run `sam local start-api` on 127.0.0.1; a function's container stays for its next request.

    Raises:
        SamUnavailableError: it does not come up.
    """
    command = [str(SAM), "local", "start-api", "--port", str(port), "--warm-containers", "LAZY", *options(containers)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # ^C reaches this process alone, which then has SAM remove its containers.
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise SamUnavailableError(f"`sam local start-api` does not come up; it says why in {log}.")


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
