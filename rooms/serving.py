"""A whole server: an application, its port, its pages and its admin API."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import trio

from rooms.brokers.base import Broker
from rooms.brokers.embedded import open_engine
from rooms.brokers.urls import make_broker
from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.protocol.urls import bracketed
from rooms.server.admin_settings import with_admin_tokens
from rooms.server.admission import Admission
from rooms.server.app import App
from rooms.server.broker_settings import broker_url
from rooms.server.door import Door
from rooms.server.drain import Drain
from rooms.server.extra_sockets import UNIX, open_admin_socket, open_websocket_socket
from rooms.server.listen import Listener
from rooms.server.node import Node
from rooms.server.reload import Changes, merge
from rooms.server.sockets import open_socket
from rooms.server.tls import tls_context

if TYPE_CHECKING:
    from rooms.http.server import HttpServer
    from rooms.http.site import Part


ADMIN_CONNECTIONS = 64
"""Most connections to an admin port; there are descriptors for them beside those of clients."""

ADMIN_GRACE = 1.0
"""Seconds for what admins have under way when the server stops."""


@dataclass(frozen=True, slots=True)
class AdminPort:
    """Where admins are answered if not on the port of all others."""

    listener: Listener
    admission: Admission

    def configure(self, settings: Settings, tls: ssl.SSLContext | None) -> None:
        """Have ``settings`` hold for new connections."""
        self.admission.configure(admin_limits(settings))
        if self.listener.tls is not None:
            self.listener.tls = tls


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        host: The address that it listens on.
    """

    node: Node
    listener: Listener
    host: str
    _drain: Drain
    _admin: AdminPort | None = None
    _second: Listener | None = None

    @property
    def settings(self) -> Settings:
        """As they hold, the token of the admin API included."""
        return self.node.settings

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.listener.port

    @property
    def websocket_port(self) -> int:
        """The port of `ws_bind`, or the only one."""
        return self.port if self._second is None else self._second.port

    @property
    def admin_url(self) -> str:
        """Where the admin API is, or ``unix:`` and the path of its socket."""
        if self._admin is None:
            return self.url
        return _url_at(self.settings, self.settings.admin_bind, self._admin.listener.port)

    @property
    def websocket_url(self) -> str:
        """Where `ws_bind` is, or ``unix:`` and the path of its socket; without one, the port."""
        url = self.url
        if self._second is not None:
            url = _url_at(self.settings, self.settings.ws_bind, self._second.port)
        return url if url.startswith(UNIX) else "ws" + url.removeprefix("http")

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return url_of(self.settings, self.host, self.port)

    async def drain(self) -> None:
        """Take nobody in, send all clients away over ``drain_seconds``, finish what is under way.

        For servers that are restarted while many clients are connected: each client is told how
        long to stay away, so that they do not all come back in the same second.  Then leave the
        block of `serve`.
        """
        await self._drain.run()

    def abandon(self) -> None:
        """Have `drain`, and the end of the block of `serve`, wait for nobody any more."""
        self._drain.abandon()

    def reload(self, settings: Settings) -> Changes:
        """Take over what can be changed while the server runs; certificates are read anew.

        Raises:
            ConfigError: A certificate, a file of tokens or keys, or a trusted proxy cannot be
                used; nothing has changed.
        """
        wanted = with_admin_tokens(settings, self.settings.admin_token)
        _check_gateway_secret(wanted)
        settings, changes = merge(self.settings, wanted)
        tls = tls_context(settings)
        self.node.admission.configure(settings)
        try:
            if self.node.gate is not None:
                self.node.gate.reload()
        except ConfigError:
            self.node.admission.configure(self.settings)
            raise
        self.listener.tls = tls
        if self._admin is not None:
            self._admin.configure(settings, tls)
        if self._second is not None:
            self._second.tls = _tls_at(settings.ws_bind, tls)
        self.node.settings = settings
        return changes


@asynccontextmanager
async def serve(
    app: App,
    settings: Settings | None = None,
    *,
    chat_page: bool = False,
    sock: socket.socket | None = None,
    broker: Broker | None = None,
) -> AsyncIterator[Server]:
    """Serve ``app`` while the block runs; leaving the block says goodbye to every client.

    Args:
        chat_page: Serve the built-in chat's page at ``/``.
        sock: Listen on this TCP socket, which somebody else may listen on too, instead of the
            settings' host and port; it is closed at the end.
        broker: One of your own, instead of the settings' one.

    Raises:
        ConfigError: The port is taken, or the broker, a certificate or a file of tokens or keys
            cannot be used.
    """
    settings = with_admin_tokens(settings or Settings())
    _check_gateway_secret(settings)
    tls = tls_context(settings)
    inherited = sock is not None
    sock = sock or open_socket(settings.host, settings.port, shared=settings.reuse_port)
    host = sock.getsockname()[0] if inherited else settings.host
    with (
        sock,
        open_admin_socket(settings) as admin_sock,
        open_websocket_socket(settings) as websocket_sock,
    ):
        async with AsyncExitStack() as stack:
            url = "" if broker else broker_url(settings)
            engine = await stack.enter_async_context(open_engine(url))
            broker = broker or make_broker(engine.url, settings.broker_seconds)
            node = await stack.enter_async_context(app.running(settings, broker))
            admin: AdminPort | None = None
            if admin_sock is not None:
                admin = await stack.enter_async_context(_admin_port(app, node, admin_sock, tls))
            pages: HttpServer | None = None
            if settings.http:
                part: Part = "all" if admin is None else "public"
                site = _pages(app, node, tls=settings.tls, part=part, chat=chat_page)
                pages = await stack.enter_async_context(site)
            door = Door(node, None if pages is None else pages.handle)
            listener = Listener(door, sock, tls, inherited=inherited)
            end_pages = None if pages is None else pages.stop
            drain = Drain(node, listener, end_pages, replaced=inherited or settings.reuse_port)
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(listener.run)
            nursery.start_soon(engine.keep)
            second: Listener | None = None
            if websocket_sock is not None:
                second = Listener(Door(node), websocket_sock, _tls_at(settings.ws_bind, tls))
                nursery.start_soon(_run_beside, listener, second)
            try:
                yield Server(node, listener, host, drain, admin, second)
            finally:
                await drain.end()
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def _pages(
    app: App, node: Node, *, tls: bool, part: Part, chat: bool = False
) -> AsyncIterator[HttpServer]:
    from rooms.http.server import open_http
    from rooms.http.site import create_site

    settings = node.settings
    site = create_site(app, settings, chat=chat, part=part)
    async with open_http(site, tls=tls, grace=settings.grace_seconds) as server:
        yield server


@asynccontextmanager
async def _admin_port(
    app: App, node: Node, sock: socket.socket, tls: ssl.SSLContext | None
) -> AsyncIterator[AdminPort]:
    """Answer admins, and them alone, where the setting `admin_bind` says, while the block runs."""
    admission = Admission(admin_limits(node.settings), node.refusals)
    tls = _tls_at(node.settings.admin_bind, tls)
    async with (
        _pages(app, node, tls=tls is not None, part="admin") as pages,
        trio.open_nursery() as nursery,
    ):
        door = Door(node, pages.handle, admission=admission, websockets=False)
        port = AdminPort(Listener(door, sock, tls), admission)
        nursery.start_soon(port.listener.run)
        try:
            yield port
        finally:
            port.listener.stop()
            with trio.move_on_after(2 * ADMIN_GRACE, shield=True):
                await pages.stop(ADMIN_GRACE)
            nursery.cancel_scope.cancel()


async def _run_beside(first: Listener, second: Listener) -> None:
    """Accept connections on a second socket for as long as on the first."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.run)
        await first.closed.wait()
        second.stop()


def _check_gateway_secret(settings: Settings) -> None:
    """Find out at the start, and not when somebody connects, that the secret cannot be used.

    Raises:
        ConfigError: That is so.
    """
    if settings.gateway_secret or settings.gateway_secret_file:
        from rooms.server.tokens.upstream import gateway_secret

        gateway_secret(settings)


def _tls_at(where: str, tls: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Return what an address is served with: nobody can read along on a Unix socket."""
    return None if where.startswith(UNIX) else tls


def admin_limits(settings: Settings) -> Settings:
    """Return the settings by which admins get in: they do when the server is full of clients."""
    return msgspec.structs.replace(settings, connections=ADMIN_CONNECTIONS)


def _url_at(settings: Settings, where: str, port: int) -> str:
    """Return where somebody on this machine finds what listens at an address of the settings."""
    if where.startswith(UNIX):
        return where
    return url_of(settings, where.rpartition(":")[0].strip("[]") or "127.0.0.1", port)


def url_of(settings: Settings, host: str, port: int) -> str:
    """Return where a browser on this machine finds a server that listens there."""
    scheme = "https" if settings.tls else "http"
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104  # shown, not bound
    return f"{scheme}://{bracketed(shown)}:{port}"
