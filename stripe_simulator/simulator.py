"""A running simulator: the account, the clock, the faults, the log, and the HTTP server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from stripe_simulator.account import Account
from stripe_simulator.clock import Clock
from stripe_simulator.faults import Faults
from stripe_simulator.idempotency import IdempotencyKeys
from stripe_simulator.protocol import HttpProtocol
from stripe_simulator.request_log import RequestLog
from stripe_simulator.server import Server
from stripe_simulator.settings import Settings
from stripe_simulator.webhooks import Webhooks

_CATCH_UP_SECONDS = 0.5


class Simulator:
    """A simulated Stripe: everything that a test touches. Any thread may use all of it while the server runs.

    `calls_per_second` limits calls in real seconds (None: no limit); `base_url` is known once it runs.
    """

    def __init__(self, settings: Settings | None = None, *, log_limit: int = 100_000) -> None:
        self.clock = Clock()
        self.account = Account(self.clock, settings)
        self.faults = Faults()
        self.requests = RequestLog(log_limit)
        self.idempotency_keys = IdempotencyKeys()
        self.calls_per_second: float | None = None
        self.base_url = ""

    @property
    def settings(self) -> Settings:
        """Return the switches of the account's behaviour."""
        return self.account.settings

    @property
    def webhooks(self) -> Webhooks:
        """Return the account's destinations and deliveries."""
        return self.account.webhooks

    @property
    def base_addresses(self) -> Any:
        """Return what `StripeClient(key, base_addresses=…)` takes."""
        return {"api": self.base_url, "meter_events": self.base_url}

    def reset(self) -> None:
        """Empty everything as after a start, real time included; connections and the address stay."""
        with self.account.lock:
            self.clock.reset()
            self.account.reset()
            self.faults.clear()
            self.requests.clear()
            self.idempotency_keys.clear()
            self.calls_per_second = None

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Start to listen on the running event loop and set `base_url`; port 0 takes a free one."""
        self._connections: set[HttpProtocol] = set()
        handler = Server(self).handle
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: HttpProtocol(handler, self._connections), host, port, backlog=1024, reuse_address=True
        )
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{_reachable(bound_host)}:{bound_port}"
        self.account.public_url = self.base_url
        self._keep_time(loop)
        return server

    def _keep_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run what falls due while real time passes and nobody calls."""
        loop.call_later(_CATCH_UP_SECONDS, self._keep_time, loop)
        self.account.catch_up()

    def drop_connections(self) -> None:
        """Reset every open connection; call it on the event loop's thread."""
        for connection in list(self._connections):
            connection.abort()


def _reachable(host: str) -> str:
    """Return the host of a URL that reaches a listener: this machine's own address where it listens on all of them."""
    address = ip_address(host)
    if address.version == 4:
        return "127.0.0.1" if address.is_unspecified else host
    return "[::1]" if address.is_unspecified else f"[{host}]"


@contextmanager
def running_simulator(
    settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0, log_limit: int = 100_000
) -> Iterator[Simulator]:
    """Run a simulator in a thread of this process for the length of a `with` block; it starts in a few ms."""
    simulator = Simulator(settings, log_limit=log_limit)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stripe-simulator", daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(simulator.listen(host, port), loop).result(10)
        try:
            yield simulator
        finally:
            simulator.account.webhooks.close()

            async def stop() -> None:
                server.close()
                simulator.drop_connections()
                await asyncio.sleep(0)
                await loop.shutdown_default_executor()

            asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
