"""Connections to Redis or Valkey: for commands, and for what is pushed."""

from __future__ import annotations

import ssl

import trio

from rooms.brokers.redis_pipeline import REPLY_SECONDS, Pipeline
from rooms.brokers.redis_url import Address, RedisUrl
from rooms.brokers.redis_wire import Value, Wire
from rooms.errors import ConfigError

CONNECT_SECONDS = 3.0


def tls_context(url: RedisUrl) -> ssl.SSLContext:
    """Return what checks the engine's certificate.

    Raises:
        ConfigError: The file of certificates cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=url.options.ca or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"The broker's ca={url.options.ca} cannot be used: {error}.") from None


async def open_pipeline(url: RedisUrl, address: Address) -> Pipeline:
    """Return a connection for commands to one server, in the URL's database; close it.

    Raises:
        TROUBLE, RedisError: There is no way to it, or it lets nobody in.
    """
    pipeline = Pipeline(await open_stream(url, address))
    ready = False
    try:
        await pipeline.ask(*_hello(url))
        if url.db:
            await pipeline.ask("SELECT", url.db)
        ready = True
    finally:
        if not ready:
            await pipeline.aclose()
    return pipeline


async def open_wire(url: RedisUrl, address: Address, *, login: bool = True) -> Wire:
    """Return a connection for what one server pushes; close it.

    Args:
        login: Whether the server asks for the URL's user and password.

    Raises:
        TROUBLE: There is no way to it, or it lets nobody in.
    """
    wire = Wire(await open_stream(url, address))
    ready = False
    try:
        with trio.fail_after(REPLY_SECONDS):
            await wire.ask(*(_hello(url) if login else ("HELLO", "3")))
        ready = True
    finally:
        if not ready:
            await wire.aclose()
    return wire


async def ask(url: RedisUrl, address: Address, *words: str, login: bool = True) -> Value:
    """Return the answer of one server to one command, over a connection of its own.

    Raises:
        TROUBLE: It does not answer, or refuses.
    """
    wire = await open_wire(url, address, login=login)
    try:
        with trio.fail_after(REPLY_SECONDS):
            return await wire.ask(*words)
    finally:
        await wire.aclose()


async def open_stream(url: RedisUrl, address: Address) -> trio.abc.Stream:
    """Return a stream to one server.

    Raises:
        OSError, trio.TooSlowError: There is no way to it, or the file of certificates is gone.
    """
    host, port = address
    with trio.fail_after(CONNECT_SECONDS):
        if port == 0:
            return await trio.open_unix_socket(host)
        stream = await trio.open_tcp_stream(host, port)
        return await _encrypt(url, stream, host) if url.tls else stream


async def _encrypt(url: RedisUrl, stream: trio.SocketStream, host: str) -> trio.abc.Stream:
    done = False
    try:
        encrypted = trio.SSLStream(stream, tls_context(url), server_hostname=host)
        await encrypted.do_handshake()
        done = True
    except ConfigError as error:
        raise OSError(str(error)) from None
    except trio.BrokenResourceError as error:
        raise OSError(f"no TLS with {host}: {error.__cause__ or error}") from None
    finally:
        if not done:
            await trio.aclose_forcefully(stream)
    return encrypted


def _hello(url: RedisUrl) -> tuple[str, ...]:
    if not (url.password or url.user):
        return "HELLO", "3"
    return "HELLO", "3", "AUTH", url.user or "default", url.password
