"""Serves an ASGI application over HTTP/1.1 on streams that somebody else has accepted.

`hypercorn.trio.serve` is not used: it owns its sockets, and one hostile request ends it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, Scope

from rooms.http.connection import HttpConnection, http_config

KEEP_ALIVE_SECONDS = 15.0
GRACE_SECONDS = 5.0

log = structlog.get_logger("rooms.http")


class HttpServer:
    """Answers HTTP on the streams it is given, each for itself; made by `open_http`."""

    def __init__(self, app: ASGIFramework, config: Config, *, tls: bool) -> None:
        self._app = ASGIWrapper(_steady(app))
        self._config = config
        self._context = WorkerContext(None)
        self._tls = tls
        self._connections: set[HttpConnection] = set()
        self._empty = trio.Event()
        self._empty.set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve HTTP/1.1 on ``stream`` until either side closes it, and close it.

        Nothing that one connection raises reaches another, or the caller.
        """
        connection = HttpConnection(stream, tls=self._tls)
        self._enter(connection)
        try:
            await connection.serve(self._app, self._config, self._context)
        finally:
            self._leave(connection)

    async def stop(self, grace: float) -> None:
        """Let requests under way finish within ``grace`` seconds; idle connections end at once.

        It returns when no connection is left; cancelled, it ends the grace.
        """
        await self._context.terminated.set()
        try:
            with trio.move_on_after(grace):
                await self._empty.wait()
        finally:
            for connection in self._connections:
                connection.cut()
        await self._empty.wait()

    def _enter(self, connection: HttpConnection) -> None:
        if not self._connections:
            self._empty = trio.Event()
        self._connections.add(connection)

    def _leave(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()


@asynccontextmanager
async def open_http(
    app: ASGIFramework,
    *,
    tls: bool = False,
    grace: float = GRACE_SECONDS,
    keep_alive: float = KEEP_ALIVE_SECONDS,
) -> AsyncIterator[HttpServer]:
    """Start ``app`` and yield the `HttpServer` that answers for it; stop both at the end.

    Args:
        app: An ASGI application; its lifespan is the block's.
        tls: Whether the streams are TLS.  Their handshake is over when they come.
        grace: Seconds that requests get to finish at the end of the block, unless
            `HttpServer.stop` was called before.
        keep_alive: Seconds that a connection may wait for its next request.
    """
    config = http_config(keep_alive=keep_alive)
    server = HttpServer(app, config, tls=tls)
    lifespan = Lifespan(ASGIWrapper(app), config, {})
    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        try:
            yield server
        finally:
            with trio.move_on_after(grace + GRACE_SECONDS, shield=True):
                await server.stop(grace)
                await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()


def _steady(app: ASGIFramework) -> ASGIFramework:
    """Return ``app`` with a fence around each request."""

    async def steady(scope: Any, receive: Any, send: Any) -> None:
        exchange = _Exchange(receive, send)
        fenced = cast(Scope, {**scope, "path": _path(scope["path"])})
        try:
            await app(fenced, exchange.receive, exchange.send)
        except* Exception as group:
            if not exchange.client_gone:
                log.error("http_request_failed", exc_info=group)

    return cast(ASGIFramework, steady)


class _Exchange:
    """A request and its answer, on their way between Hypercorn and the application."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self.client_gone = False

    async def receive(self) -> Any:
        message = await self._receive()
        self.client_gone = message["type"] == "http.disconnect"
        return message

    async def send(self, message: Any) -> None:
        """Send a part of the answer, the last one shielded.

        Hypercorn starts the keep-alive timer while it sends the last part, and Quart-Trio would
        cancel that as soon as it has begun.
        """
        last = message["type"] == "http.response.body" and not message.get("more_body")
        with trio.CancelScope(shield=last):
            await self._send(message)


def _path(target: str) -> str:
    """Return the path of a request's target in any of its forms (RFC 9112, section 3.2)."""
    if target.startswith("/"):
        return target
    try:
        return (urlsplit(target).path if "://" in target else f"/{target}") or "/"
    except ValueError:
        return "/"
