"""Run the simulator in a process of its own: `python -m stripe_simulator --host 0.0.0.0 --port 12111`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
from typing import Literal

from stripe_simulator.simulator import Simulator


def main() -> None:
    """Parse the arguments and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m stripe_simulator", description="A Stripe account on this machine")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets containers of `sam local` reach it")
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free port, which is printed")
    parser.add_argument("--log-limit", type=int, default=10_000, help="requests to remember; 0 for benchmarks")
    parser.add_argument("--idempotency-limit", type=int, default=200_000, help="saved answers to remember")
    parser.add_argument("--webhook-url", help="post snapshot events there, in the background")
    parser.add_argument("--thin-webhook-url", help="post thin events there, in the background")
    arguments = parser.parse_args()
    simulator = Simulator(log_limit=arguments.log_limit)
    simulator.idempotency_keys.limit = arguments.idempotency_limit
    asyncio.run(_serve(simulator, arguments))


async def _serve(simulator: Simulator, arguments: argparse.Namespace) -> None:
    server = await simulator.listen(arguments.host, arguments.port)
    print(f"Simulated Stripe at {simulator.base_url}", flush=True)
    payloads: tuple[Literal["snapshot", "thin"], ...] = ("snapshot", "thin")
    for url, payload in zip((arguments.webhook_url, arguments.thin_webhook_url), payloads, strict=True):
        if url:
            destination = simulator.webhooks.add_destination(url, payload)
            print(f"Webhook secret for {payload} events: {destination.secret}", flush=True)
    if arguments.webhook_url or arguments.thin_webhook_url:
        simulator.webhooks.start_automatic()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what is kept is never garbage: full collections would only pause answers
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await stopped.wait()
    server.close()
    simulator.drop_connections()
    simulator.webhooks.close()


if __name__ == "__main__":
    main()
