"""The rooms of an application as ASGI, for servers and frameworks that speak nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from rooms.brokers.urls import make_broker
from rooms.config import Settings
from rooms.errors import ConfigError, ShuttingDown
from rooms.protocol.asgi import head_of
from rooms.protocol.http import BadHead, parse_head
from rooms.server.app import App, NotRunning
from rooms.server.broker_settings import broker_url
from rooms.server.door import Door
from rooms.server.node import Node
from rooms.transports.asgi import AsgiLink, Receive, Send

UNKNOWN = "0.0.0.0"  # noqa: S104  # an address that is said where none is known
"""The address of a client of whom the server below says nothing."""

Scope = dict[str, Any]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi(app: App, settings: Settings | None = None, *, then: Asgi | None = None) -> AsgiApp:
    """Return ``app`` as an ASGI application, for Hypercorn's Trio worker.

    Args:
        then: Gets every request that is not a WebSocket's to a path of ``app``, and its own
            lifespan: another ASGI application, for example of FastAPI or Quart-Trio.
    """
    return AsgiApp(app, settings or Settings(), then)


class AsgiApp:
    """An ASGI application; made by `asgi`.

    It runs ``app`` for as long as its server's lifespan lasts.  Where it is mounted in a framework
    that passes no lifespan on, enter `running` in that framework's.
    """

    def __init__(self, app: App, settings: Settings, then: Asgi | None) -> None:
        self._app = app
        self._settings = settings
        self._then = then
        self._door: Door | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the application while the block runs; its end says goodbye to every client.

        Raises:
            ConfigError: The settings' broker cannot be used, or the server does not run on Trio.
        """
        if not trio.lowlevel.in_trio_run():
            raise ConfigError("Rooms run on Trio, this server does not: hypercorn -k trio does.")
        settings = self._settings
        broker = make_broker(broker_url(settings), settings.broker_seconds)
        async with self._app.running(settings, broker) as node:
            self._door = Door(node)
            try:
                yield
            finally:
                self._door = None
                await _send_away(node)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "websocket" and self._is_ours(scope):
            await self._serve(scope, receive, send)
        elif self._then is not None:
            await self._then(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"There is no page here.\n"})

    def _is_ours(self, scope: Scope) -> bool:
        if self._then is None:
            return True
        try:
            head = parse_head(head_of(scope))
        except BadHead:
            return True  # the door says what is wrong with it
        node = self._app.node
        chosen = node.dialects.choose(head.path, head.subprotocols)
        return chosen is not None or self._app.routes.find(head.raw_path) is not None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert message["type"] == "websocket.connect"
        if self._door is None:
            raise NotRunning("enter the `running` of rooms.asgi(…) in your framework's lifespan")
        host, port = scope.get("client") or (UNKNOWN, 0)
        await self._door.serve_link(AsgiLink(scope, receive, send), host, port)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as long as the server does."""
        try:
            async with self.running():
                if self._then is not None:
                    await self._then(scope, receive, send)
                    return
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ConfigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


async def _send_away(node: Node) -> None:
    """Say goodbye to everybody, and wait for them but never longer than the grace."""
    node.draining = True
    for connection in node.connections:
        connection.end(ShuttingDown())
    with trio.move_on_after(node.settings.grace_seconds, shield=True):
        await node.idle()
    for connection in node.connections:
        if connection.goodbye is not None:
            connection.goodbye.cancel()
