"""Measure cold starts in the Lambda image: what `make build` makes, beside a plain `sam build` of the same code.

    make bench-cold-start           # prints the tables of docs/benchmarks.md

One processor, folders mounted read-only as in Lambda (so no bytecode can be written), against the servers of
`make local`. A start is timed from the creation of the process; Lambda adds its own fetching and unpacking before it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from billing import clock
from programs.benchmarks.cold_start_sample import STARTS_WITH_IMPORTS, WARM_UP
from programs.local.lambda_image import ARCHITECTURE, IMAGE
from programs.local.servers import EVENTS, ROOT, LocalServers, event_body, running_servers, secret_of
from programs.local.usage_message import usage_message
from programs.local.webhook_event import http_event
from stripe_simulator import sign

OURS, PLAIN = ROOT / ".aws-sam" / "build", ROOT / ".cache" / "plain-build"
LAYERS = ("DependenciesLayer", "BillingLayer")
CASES = {
    "StripeWebhookFunction": ("stripe/customer_subscription_updated.json", "handler"),
    "UsageIngestionFunction": ("usage_ingestion/event.json", "handler"),
    "UsageMeteringFunction": ("usage_metering/scheduled.json", "handler"),
    "UsageMeteringWorkerFunction": ("usage_metering/shard_message.json", "worker"),
    "UsageReconciliationFunction": ("usage_reconciliation/meter_message.json", "handler"),
    "BillingEventsFunction": ("billing_events/subscription_past_due.json", "handler"),
    "BillingApiFunction": ("billing_api/get_usage.json", "handler"),
}
PLAIN_SHARE_GOAL, WEBHOOK_GOAL = 0.35, 1.3
MOST_PACKAGES = 10


class Times(NamedTuple):
    """Hold medians in milliseconds, from the process's creation; `imports` are those of each package's modules."""

    ready: float
    answered: float
    imports: dict[str, float]


def main() -> None:
    """Measure everything and print it as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m programs.benchmarks.cold_start", description=main.__doc__)
    parser.add_argument("--samples", type=int, default=15)
    samples = parser.parse_args().samples
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        ["sam", "build", "--build-dir", str(PLAIN), "--parameter-overrides", f"Architecture={ARCHITECTURE}"],
        cwd=ROOT,
        env=environment | {"ARCHITECTURE": ARCHITECTURE},
        check=True,
        capture_output=True,
    )
    with tempfile.TemporaryDirectory() as folder, running_servers() as servers:
        bench = Bench(servers, Path(folder), samples)
        results = {name: (bench.run(PLAIN, name), bench.run(OURS, name)) for name in CASES}
        python = bench.run(OURS, None, "python")
        floor, stripe = bench.run(OURS, None, "floor"), bench.run(OURS, None, "stripe")
        plain_stripe = bench.run(PLAIN, None, "stripe")
    _print_functions(samples, results)
    webhook = results["StripeWebhookFunction"][1]
    # The interpreter is in both the floor and `import stripe`; it starts once.
    target = floor.ready + stripe.ready - python.ready
    _print_floor(python, floor, stripe, plain_stripe, target, webhook)
    _print_rest({name: ours for name, (_, ours) in results.items()})
    missed = [name for name, (plain, ours) in results.items() if ours.answered > PLAIN_SHARE_GOAL * plain.answered]
    if webhook.ready > WEBHOOK_GOAL * target:
        missed.append("webhook against the floor")
    goals = f"first response: {PLAIN_SHARE_GOAL} of plain; webhook ready: {WEBHOOK_GOAL} of the floor"
    print(f"\nGoals ({goals}): missed by {', '.join(missed) or 'none'}")


def _print_functions(samples: int, results: dict[str, tuple[Times, Times]]) -> None:
    print(f"Medians of {samples} starts, in milliseconds.\n")
    print("| function | plain: ready | plain: first response | ready | first response | share of plain |")
    print("|---|---|---|---|---|---|")
    for name, (plain, ours) in results.items():
        shares = f"{ours.ready / plain.ready:.2f}, {ours.answered / plain.answered:.2f}"
        times = " | ".join(f"{value:.0f}" for value in (*plain[:2], *ours[:2]))
        print(f"| `{name}` | {times} | {shares} |")


def _print_rest(results: dict[str, Times]) -> None:
    packages = sorted({name for times in results.values() for name in times.imports}, key=_most(results), reverse=True)
    print("\nWhat remains, by package: the imports of its modules, in milliseconds, and what comes after them.\n")
    print(f"| | {' | '.join(f'`{name}`' for name in results)} |\n|---|{'---|' * len(results)}")
    for package in packages[:MOST_PACKAGES]:
        print(f"| {package} | {' | '.join(f'{times.imports.get(package, 0):.0f}' for times in results.values())} |")
    others = [sum(times.imports.get(name, 0) for name in packages[MOST_PACKAGES:]) for times in results.values()]
    print(
        f"| {len(packages) - MOST_PACKAGES} others | {' | '.join(f'{milliseconds:.0f}' for milliseconds in others)} |"
    )
    first = [times.answered - times.ready for times in results.values()]
    print(f"| ready until the first response | {' | '.join(f'{milliseconds:.0f}' for milliseconds in first)} |")


def _most(results: dict[str, Times]) -> Callable[[str], float]:
    return lambda package: max(times.imports.get(package, 0) for times in results.values())


def _print_floor(
    python: Times, floor: Times, stripe: Times, plain_stripe: Times, target: float, webhook: Times
) -> None:
    print(f"\n| | ms |\n|---|---|\n| the interpreter alone | {python.ready:.0f} |")
    print(f"| floor: a handler with only a botocore DynamoDB client | {floor.ready:.0f} |")
    print(f"| `import stripe` alone | {stripe.ready:.0f} (plain build: {plain_stripe.ready:.0f}) |")
    print(f"| floor + `import stripe` | {target:.0f} |")
    print(f"| webhook ready, as a multiple of that | {webhook.ready / target:.2f} |")
    print(f"| webhook's first response, as a multiple of that | {webhook.answered / target:.2f} |")
    print("\n| layer | plain, zipped | zipped |\n|---|---|---|")
    for layer in LAYERS:
        print(f"| `{layer}` | {_zipped_mb(PLAIN / layer):.2f} MB | {_zipped_mb(OURS / layer):.2f} MB |")


class Bench:
    """Start functions in the Lambda image."""

    def __init__(self, servers: LocalServers, folder: Path, samples: int) -> None:
        self._servers, self._folder, self._samples = servers, folder, samples

    def run(self, build: Path, function: str | None, program: str = "") -> Times:
        """Return the medians of a function of a build, or of one of the programs of cold_start_sample.py."""
        case, entry = CASES[function] if function else ("usage_metering/scheduled.json", program)
        events = Path(tempfile.mkdtemp(dir=self._folder))
        self._write_events(case, events)
        with self._merged_layers(build) as layers:
            command = ["docker", "run", "--rm", "--network", "host", "--cpuset-cpus", "0", "--read-only"]
            for host, container in (
                (layers, "/opt"),
                (build / function if function else events, "/var/task"),
                (events, "/events"),
                (Path(__file__).parent, "/bench"),
            ):
                command += ["--volume", f"{host}:{container}:ro"]
            for name, value in self._environment(function).items():
                command += ["--env", f"{name}={value}"]
            command += ["--entrypoint", "/var/lang/bin/python3.13", IMAGE, "/bench/cold_start_sample.py"]
            ran = subprocess.run(
                [*command, str(self._samples), entry, "/events"], stdout=subprocess.PIPE, text=True, check=True
            )
        sample = json.loads(ran.stdout.splitlines()[-1])
        ready, answered = (statistics.median(column) for column in zip(*sample["times"], strict=True))
        times = Times(ready, answered, sample["imports"])
        print(f"{build.name} {function or program}: {times.ready:.0f} {times.answered:.0f}", file=sys.stderr)
        return times

    def _write_events(self, case: str, folder: Path) -> None:
        for number in range(self._samples + WARM_UP + STARTS_WITH_IMPORTS):
            # Each an event of its own, so that each is processed and none is a duplicate.
            event = _event(case, f"{folder.name}_{number}")
            (folder / f"{number:03}.json").write_text(json.dumps(event), encoding="utf-8")

    def _environment(self, function: str | None) -> dict[str, str]:
        local = self._servers.environment()["Parameters"]
        return {
            **{name: value.replace("host.docker.internal", "127.0.0.1") for name, value in local.items()},
            "PYTHONPATH": "/var/task:/opt/python",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SAM_LOCAL": "true",
            "POWERTOOLS_SERVICE_NAME": function or "floor",
        }

    @contextmanager
    def _merged_layers(self, build: Path) -> Iterator[Path]:
        """Give one folder with both layers, as Lambda has them in /opt."""
        merged = Path(tempfile.mkdtemp(dir=self._folder))
        for layer in LAYERS:
            shutil.copytree(build / layer, merged, dirs_exist_ok=True)
        yield merged
        shutil.rmtree(merged)


def _event(case: str, name: str) -> dict[str, Any]:
    """Return what Lambda hands to the function in a case."""
    if case.startswith("usage_ingestion/"):
        message = usage_message(EVENTS / case, clock.utc_now())
        usage: dict[str, Any] = json.loads(message["Records"][0]["body"])
        message["Records"][0]["body"] = json.dumps({**usage, "id": name})
        return message
    if case.startswith("stripe/"):
        body = json.dumps({**json.loads(event_body(EVENTS / case, int(time.time()))), "id": f"evt_{name}"}).encode()
        return http_event(body, sign(body, secret_of(body)))
    event: dict[str, Any] = json.loads((EVENTS / case).read_text(encoding="utf-8"))
    return event


def _zipped_mb(folder: Path) -> float:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return len(packed.getvalue()) / 1e6


if __name__ == "__main__":
    main()
