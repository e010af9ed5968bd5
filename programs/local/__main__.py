"""Serve the whole stack on this machine, from the checkout to the invoice: `make local`, or `make local SAM=1`.

The functions run in this process, which needs no Docker and no build, and whose clock can be moved to the end of a
month; with --sam they run as they were built, in the Lambda image, on the real clock.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from programs.local import environment, sam
from programs.local.dynamodb_local import DynamoDBLocalUnavailableError
from programs.local.told import in_a_line
from programs.local.walk import Place, instructions

if TYPE_CHECKING:
    from programs.local.servers import LocalServers

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


# Lambda reads a table's stream several times a second.
STREAMS_EVERY_SECONDS = 0.5


class CannotStartError(Exception):
    """`make local` cannot start; the message says why and what to do."""


def main() -> int:
    """Serve until ^C or SIGTERM (0); return 1, with the reason in words, where that cannot be."""
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    environment.folder().mkdir(parents=True, exist_ok=True)
    try:
        with _only_one():
            _check_ports(arguments)
            if arguments.sam:
                sam.check()
            _serve(arguments)
    except KeyboardInterrupt:
        _say("Ended.")
        return 0
    except DynamoDBLocalUnavailableError as error:
        reason = error.in_two_lines()
    except (CannotStartError, sam.SamUnavailableError) as error:
        reason = str(error)
    print(reason, file=sys.__stderr__)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m programs.local", description=__doc__)
    parser.add_argument("--sam", action="store_true", help="run the built functions in containers (needs Docker)")
    ports = parser.add_argument_group("ports (0: a free one)")
    ports.add_argument("--api-port", type=int, default=3000, help="functions (%(default)s)")
    ports.add_argument("--stripe-port", type=int, default=12111, help="Stripe simulator (%(default)s)")
    ports.add_argument("--sqs-port", type=int, default=9324, help="usage queue (%(default)s)")
    ports.add_argument("--bus-port", type=int, default=12112, help="event bus (%(default)s)")
    ports.add_argument("--dynamodb-port", type=int, default=8000, help="DynamoDB Local (%(default)s)")
    return parser.parse_args()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """Print for the reader; what the functions log goes to a file."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.__stdout__, flush=True)


def _tell_request(text: str) -> None:
    _say(f"{time.strftime('%H:%M:%S')} {text}")


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Hold the folder; say who has it where it is held."""
    with (environment.folder() / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotStartError(
                f"`make local` runs already, as process {lock.read().strip()}. What to paste: "
                f"{environment.shown(environment.folder() / 'commands.txt')}\nEnd it with ^C in its terminal first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _check_ports(arguments: argparse.Namespace) -> None:
    options = ["api", "stripe", "sqs", "bus", *([] if os.environ.get("DYNAMODB_ENDPOINT") else ["dynamodb"])]
    ports = {option: getattr(arguments, f"{option}_port") for option in options}
    busy = {option: port for option, port in ports.items() if port and _is_in_use(port)}
    if busy:
        others = " ".join(f"--{option}-port {port + 1}" for option, port in busy.items())
        raise CannotStartError(
            f"In use by another program: port {' and port '.join(map(str, busy.values()))}. End it, or take others:\n"
            f'  make local ARGS="{others}"'
        )


def _is_in_use(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return True
    return False


def _serve(arguments: argparse.Namespace) -> None:
    for name in environment.OWN_CREDENTIALS:
        os.environ.pop(name, None)
    os.environ.update(CREDENTIALS)
    _say("Starting …")
    with ExitStack() as stack:
        log = stack.enter_context((environment.folder() / "functions.log").open("w", buffering=1))
        stack.enter_context(redirect_stdout(log))
        stack.enter_context(redirect_stderr(log))
        # Imported here, so that the functions' logger writes to the file.
        from programs.local import servers
        from programs.local.queues import consuming

        ports = servers.Ports(
            arguments.dynamodb_port or None, arguments.stripe_port, arguments.sqs_port, arguments.bus_port
        )
        host = servers.ALL_ADDRESSES if arguments.sam else "127.0.0.1"
        running = stack.enter_context(servers.running_servers(ports, host))
        stack.enter_context(consuming(running.queues, running.stack.ingest))
        api, log_path = _functions(stack, running, arguments)
        place = _place(running, api, log_path)
        text = instructions(place, in_containers=arguments.sam)
        (environment.folder() / "commands.txt").write_text(text, encoding="utf-8")
        _say(text)
        running.streams.begin()
        running.bus.listeners.append(lambda event: _tell_request(in_a_line(event)))
        while True:
            running.streams.run()
            time.sleep(STREAMS_EVERY_SECONDS)


def _functions(stack: ExitStack, running: LocalServers, arguments: argparse.Namespace) -> tuple[str, Path]:
    """Serve the functions, and have Stripe's webhooks delivered to them; return their address and log."""
    from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
    from programs.local import functions

    port = arguments.api_port or sam.free_port()
    api = f"http://127.0.0.1:{port}"
    containers = _with_redirects(running.environment(), port)
    settings = _settings(running, containers, api, reached_by_containers=arguments.sam)
    stack.enter_context(environment.written(settings, containers))
    if arguments.sam:
        log = environment.folder() / "sam.log"
        stack.enter_context(sam.serving(environment.folder() / "containers.json", port, log))
    else:
        log = environment.folder() / "functions.log"
        os.environ.update({name: settings[name] for name in ("ALLOWED_PRICE_IDS", "ALLOWED_REDIRECT_HOSTS")})
        stack.enter_context(functions.serving(functions.LocalFunctions(running.stack, _tell_request), port))
    webhooks = running.simulator.webhooks
    for destination in webhooks.destinations.values():
        destination.url = f"{api}{functions.WEBHOOK_PATH}"
        is_thin = destination.payload == "thin"
        destination.enabled_events = list(THIN_EVENT_TYPES if is_thin else SNAPSHOT_EVENT_TYPES)
    webhooks.start_automatic()
    stack.callback(webhooks.close)
    return api, log


def _with_redirects(containers: Mapping[str, Any], api_port: int) -> dict[str, Any]:
    """Return the containers' settings with the API itself as what a buyer may come back to."""
    hosts = f"localhost:{api_port},127.0.0.1:{api_port}"
    return {"Parameters": {**containers["Parameters"], "ALLOWED_REDIRECT_HOSTS": hosts}}


def _settings(
    running: LocalServers, containers: Mapping[str, Any], api: str, *, reached_by_containers: bool
) -> dict[str, str]:
    """Return the settings as this machine sees the servers."""
    seen_here = {
        name: value.replace(environment.CONTAINERS_HOST, "127.0.0.1")
        for name, value in containers["Parameters"].items()
    }
    return {
        **CREDENTIALS,
        **seen_here,
        "AWS_ENDPOINT_URL_LAMBDA": api,
        "USAGE_QUEUE_URL": running.queues.usage_url,
        "USAGE_DEAD_LETTER_QUEUE_URL": running.queues.dead_letter_url,
        "BILLING_API": api,
        environment.CONTAINERS_VARIABLE: "true" if reached_by_containers else "false",
    }


def _place(running: LocalServers, api: str, log: Path) -> Place:
    return Place(
        api=api,
        stripe=running.simulator.base_url,
        dynamodb=running.dynamodb_endpoint,
        sqs=running.queues.endpoint,
        bus=running.bus.endpoint,
        root=str(environment.ROOT),
        settings=environment.shown(environment.folder() / "env.sh"),
        log=environment.shown(log),
    )


if __name__ == "__main__":
    sys.exit(main())
