"""Gets one small document from one URL, and nothing else from anywhere else."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11
import trio
from msgspec import Struct

from rooms.errors import ConfigError, RoomsError
from rooms.protocol.urls import bracketed

FETCH_SECONDS = 5.0
"""Time for everything, from the name's look-up to the last byte."""

FETCH_BYTES = 256 * 1024
"""Most bytes that are read, headers included."""

Connect = Callable[["Location"], Awaitable[trio.abc.Stream]]


class FetchError(RoomsError):
    """A document could not be had; the message says why."""


class Location(Struct, frozen=True):
    """Where a document is.

    Attributes:
        target: Path and query.
    """

    host: str
    port: int
    target: str
    tls: bool

    @property
    def shown(self) -> str:
        """For logs: without the query, which may hold a secret."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.authority}{self.target.partition('?')[0]}"

    @property
    def authority(self) -> str:
        """Host and port, as the header ``Host`` has them."""
        host = bracketed(self.host)
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_url(url: str) -> Location:
    """Return where a URL leads; clear text only to this machine.

    Raises:
        ConfigError: It is no URL that a document may be fetched from.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("The URL of the keys is no URL: give https://….") from None
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("https", "http") or not host or not plain:
        raise ConfigError("The URL of the keys must be https://HOST/PATH, in ASCII.")
    if "@" in parts.netloc:
        raise ConfigError("The URL of the keys must not hold a password.")
    tls = parts.scheme == "https"
    if not tls and not _is_loopback(host):
        raise ConfigError(f"The keys must come over https://, not in clear text from {host}.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Location(host, port or (443 if tls else 80), target, tls)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def connect(location: Location) -> trio.abc.Stream:
    """Return a connection to a location's host."""
    stream = await trio.open_tcp_stream(location.host, location.port)
    return secured(stream, location) if location.tls else stream


def secured(stream: trio.abc.Stream, location: Location) -> trio.abc.Stream:
    """Return TLS over ``stream``, which only a host with a valid certificate can speak."""
    context = ssl.create_default_context()
    return trio.SSLStream(stream, context, server_hostname=location.host, https_compatible=True)


async def fetch(location: Location, connect: Connect = connect) -> bytes:
    """Return the document at ``location``: only with status 200, small, and soon.

    Redirects are not followed, cookies and proxies are not used.

    Raises:
        FetchError: It could not be had.
    """
    try:
        with trio.fail_after(FETCH_SECONDS):
            async with _connection(location, connect) as stream:
                return await _get(location, stream)
    except trio.TooSlowError:
        raise FetchError(f"it took longer than {FETCH_SECONDS:g} s") from None
    except trio.BrokenResourceError as error:
        raise FetchError(f"the connection broke: {error.__cause__ or error}") from None
    except OSError as error:
        raise FetchError(f"no connection: {error}") from None
    except h11.RemoteProtocolError as error:
        raise FetchError(f"the answer is no HTTP: {error}") from None


@asynccontextmanager
async def _connection(location: Location, connect: Connect) -> AsyncIterator[trio.abc.Stream]:
    stream = await connect(location)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def _get(location: Location, stream: trio.abc.Stream) -> bytes:
    parser = h11.Connection(h11.CLIENT)
    await stream.send_all(_request(location, parser))
    read, body = 0, bytearray()
    while not isinstance(event := parser.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            _check(event)
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            data = await stream.receive_some(16384)
            read += len(data)
            if read > FETCH_BYTES:
                raise FetchError(f"it is larger than {FETCH_BYTES // 1024} KiB")
            parser.receive_data(bytes(data))
    return bytes(body)


def _request(location: Location, parser: h11.Connection) -> bytes:
    headers = {
        "Host": location.authority,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    request = h11.Request(method="GET", target=location.target, headers=list(headers.items()))
    return (parser.send(request) or b"") + (parser.send(h11.EndOfMessage()) or b"")


def _check(response: h11.Response) -> None:
    if 300 <= response.status_code < 400:
        raise FetchError(f"status {response.status_code}: redirects are not followed")
    if response.status_code != 200:
        raise FetchError(f"status {response.status_code}")
