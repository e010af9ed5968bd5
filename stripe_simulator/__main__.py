"""Run the simulator in a process of its own: `python -m stripe_simulator`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import signal
import sys

from stripe_simulator.simulator import Simulator

_EPILOG = """\
in another terminal:
  curl http://127.0.0.1:12111/v1/customers -u sk_test_x: -d name=Ann
  curl http://127.0.0.1:12111/_simulator/state
The manual is docs/stripe-simulator.md. Nothing is kept after the end."""


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stripe_simulator",
        description="Serve a Stripe account on this machine, with state, webhooks, meters and faults.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for containers (%(default)s)"
    )
    parser.add_argument("--port", type=_port, default=12111, help="port; 0 takes a free one (%(default)s)")
    webhooks = parser.add_argument_group("webhooks, posted in the background with Stripe's retries")
    webhooks.add_argument("--webhook-url", metavar="URL", help="where snapshot events go")
    webhooks.add_argument("--thin-webhook-url", metavar="URL", help="where thin events go")
    webhooks.add_argument(
        "--webhook-secret", metavar="SECRET", help="signing secret of both, whsec_…; else each gets its own, printed"
    )
    memory = parser.add_argument_group("memory")
    memory.add_argument("--log-limit", metavar="N", type=int, default=10_000, help="requests to remember (%(default)s)")
    memory.add_argument(
        "--idempotency-limit", metavar="N", type=int, default=200_000, help="idempotency keys to remember (%(default)s)"
    )
    return parser.parse_args()


def main() -> int:
    """Serve until interrupted; return 1, with the reason in words, where the address cannot be had."""
    arguments = _arguments()
    simulator = Simulator(log_limit=arguments.log_limit)
    simulator.idempotency_keys.limit = arguments.idempotency_limit
    return asyncio.run(_serve(simulator, arguments))


async def _serve(simulator: Simulator, arguments: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        server = await simulator.listen(arguments.host, arguments.port)
    except OSError as exc:
        is_busy = exc.errno == errno.EADDRINUSE
        reason = "the port is in use; choose another with --port" if is_busy else exc.strerror
        print(f"Cannot listen on {arguments.host}, port {arguments.port}: {reason}.", file=sys.stderr)
        return 1
    print(f"Simulated Stripe at {simulator.base_url}", flush=True)
    _post_webhooks(simulator, arguments)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what is kept is never garbage: full collections would only pause responses
    await stopped.wait()
    print("Stopped.", flush=True)
    server.close()
    simulator.drop_connections()
    simulator.webhooks.close()
    return 0


def _post_webhooks(simulator: Simulator, arguments: argparse.Namespace) -> None:
    secret = arguments.webhook_secret
    if arguments.webhook_url:
        destination = simulator.webhooks.add_destination(arguments.webhook_url, "snapshot", secret=secret)
        print(f"Webhook secret for snapshot events: {destination.secret}", flush=True)
    if arguments.thin_webhook_url:
        destination = simulator.webhooks.add_destination(arguments.thin_webhook_url, "thin", secret=secret)
        print(f"Webhook secret for thin events: {destination.secret}", flush=True)
    if arguments.webhook_url or arguments.thin_webhook_url:
        simulator.webhooks.start_automatic()


if __name__ == "__main__":
    sys.exit(main())
