"""A whole server: an application, its port, its pages and its admin API."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import trio

from rooms.brokers.urls import make_broker
from rooms.config import Settings
from rooms.errors import ConfigError, ShuttingDown
from rooms.server.app import App
from rooms.server.door import Door
from rooms.server.listen import Listener
from rooms.server.node import Node

if TYPE_CHECKING:
    from rooms.http.server import HttpServer

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel has its own limit too."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        settings: As they hold, the token of the admin API included.
    """

    node: Node
    listener: Listener
    settings: Settings

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.listener.port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        scheme, host = "https" if self.settings.tls else "http", self.settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
        return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{self.port}"


@asynccontextmanager
async def serve(
    app: App, settings: Settings | None = None, *, chat_page: bool = False, http: bool = True
) -> AsyncIterator[Server]:
    """Serve ``app`` while the block runs; leaving the block says goodbye to every client.

    Args:
        chat_page: Serve the built-in chat's page at ``/``.
        http: Serve pages and the admin API beside the WebSockets.

    Raises:
        ConfigError: The port is taken, or the broker, a certificate or a token file cannot be used.
    """
    settings = _with_token(settings or Settings())
    tls = _tls_context(settings)
    sock = _bind(settings.host, settings.port)
    with sock:
        async with AsyncExitStack() as stack:
            broker = make_broker(settings.broker)
            node = await stack.enter_async_context(app.running(settings, broker))
            pages: HttpServer | None = None
            if http:
                pages = await stack.enter_async_context(_pages(app, settings, chat_page))
            listener = Listener(Door(node, None if pages is None else pages.handle), sock, tls)
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(listener.run)
            try:
                yield Server(node, listener, settings)
            finally:
                await _stop(node, listener, pages, settings.grace_seconds)
                nursery.cancel_scope.cancel()


async def _stop(node: Node, listener: Listener, pages: HttpServer | None, grace: float) -> None:
    """Accept no more, say goodbye to all, and wait for them, but never longer than ``grace``."""
    node.draining = True
    listener.stop()
    with trio.move_on_after(grace, shield=True):
        for session in list(node.sessions.values()):
            session.end(ShuttingDown())
        if pages is not None:
            await pages.stop(grace)
        await node.idle()
    for session in node.sessions.values():
        if session.goodbye is not None:
            session.goodbye.cancel()


@asynccontextmanager
async def _pages(app: App, settings: Settings, chat_page: bool) -> AsyncIterator[HttpServer]:
    from rooms.http.server import open_http
    from rooms.http.site import create_site

    site = create_site(app, settings, chat=chat_page)
    async with open_http(site, tls=settings.tls, grace=settings.grace_seconds) as server:
        yield server


def _with_token(settings: Settings) -> Settings:
    """Return the settings with a token for the admin API: given, from its file, or new."""
    if settings.admin_token:
        return settings
    token = secrets.token_urlsafe(24)
    if settings.admin_token_file:
        try:
            with open(settings.admin_token_file, encoding="utf-8") as file:
                token = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The admin token cannot be read from {settings.admin_token_file!r}: {error}."
            ) from None
        if not token:
            raise ConfigError(f"The admin token file {settings.admin_token_file!r} is empty.")
    return msgspec.structs.replace(settings, admin_token=token)


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.certfile:
        if settings.keyfile:
            raise ConfigError("A keyfile needs a certfile too: give --certfile.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile or None)
    except OSError as error:  # ssl.SSLError is one
        names = " and ".join(filter(None, [settings.certfile, settings.keyfile]))
        raise ConfigError(f"The certificate in {names} cannot be used: {error}.") from None
    return context


def _bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: The address cannot be had.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"{port} is not a port: choose 0 to 65535.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(_bind_trouble(host, port, error)) from None


def _bind_trouble(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what uses it or choose another --port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023."
    detail = os.strerror(error.errno) if error.errno else str(error)
    return f"Cannot listen on {host}:{port}: {detail}."
