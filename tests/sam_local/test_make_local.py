"""`make local SAM=1`: the built functions get what the simulator delivers, and their containers end with it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from programs.local.sam import BUILT_TEMPLATE
from tests.programs.local_process import Local, end, ready, started

pytestmark = pytest.mark.sam_local
DELIVERED_WITHIN_SECONDS = 120


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip("there is no Docker here: `make local SAM=1` was not tried")
    assert BUILT_TEMPLATE.is_file(), "run `make build` first"
    running = started(tmp_path, "--sam")
    try:
        yield ready(running)
    finally:
        if running.process.poll() is None:
            end(running, signal.SIGTERM)


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def containers() -> set[str]:
    return set(subprocess.run(["docker", "ps", "--quiet"], capture_output=True, text=True, check=True).stdout.split())


def test_a_checkout_reaches_the_built_functions_and_nothing_stays(local: Local) -> None:
    settings = json.loads((local.folder / "settings.json").read_text())
    api = settings["BILLING_API"]
    there_before = containers()
    redirect = f"http://localhost:{api.rpartition(':')[2]}/"
    body = {"price_ids": ["price_local_readings"], "success_url": redirect, "cancel_url": redirect}

    session = call(f"{api}/organizations/acme/checkout-sessions", body)
    call(
        f"{settings['STRIPE_API_BASE']}/_simulator/complete-checkout",
        {"session_id": session["checkout_session_id"]},
    )

    deadline = time.monotonic() + DELIVERED_WITHIN_SECONDS
    while True:
        try:
            subscription = call(f"{api}/organizations/acme/subscription")
        except urllib.error.HTTPError as error:
            error.close()
            subscription = {}
        if subscription.get("status") == "active":
            break
        assert time.monotonic() < deadline, local.printed()
        time.sleep(1)

    ran = local.run("make", "--silent", "invoke-webhook", "EVENT=events/stripe/customer_subscription_updated.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(json.loads(ran.stdout.splitlines()[-1])["body"]) == {"outcome": "processed"}

    started_by_it = containers() - there_before
    assert end(local) == 0
    assert started_by_it & containers() == set()
