"""One HTTP/1.1 connection: Hypercorn's protocol within limits of our own.

Hypercorn waits without end for a peer that does not read, forgets a reader that waits for an
application which has answered already, and speaks HTTP/2 and WebSocket when asked to.  Here a
write has a deadline, closing the stream ends all that belongs to the connection, and every
request is plain HTTP/1.
"""

from __future__ import annotations

import math
import socket
from typing import Any, cast

import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState

from rooms.protocol.http import BARE_HEADERS
from rooms.protocol.proxy import UNIX_PEER, Endpoint, parse_endpoint

WRITE_SECONDS = 30.0
"""How long a peer may take to read one piece of an answer."""

GOODBYE_SECONDS = 1.0
"""How long a close may take, and how long a peer may go on sending what nobody reads."""

_BARE_HEADERS = [(name.lower().encode(), value.encode()) for name, value in BARE_HEADERS.items()]

_READ_BYTES = 65536

log = structlog.get_logger("rooms.http")


class HttpVersionRefused(Exception):
    """A request came in a version of HTTP that is not spoken here; it has been answered."""


class Http1Protocol(H11Protocol):
    """Hypercorn's HTTP/1.1, without the ways out of it.

    Attributes:
        begun: Set when the first that came has been handled.
    """

    begun: trio.Event

    async def handle(self, event: Event) -> None:
        """Do what an event of the connection asks for."""
        await super().handle(event)
        self.begun.set()

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.http_version > b"1.1":
            await self._send_error_response(505)
            raise HttpVersionRefused(event.http_version.decode())

    async def _create_stream(self, request: h11.Request) -> None:
        # A server may ignore an Upgrade (RFC 9110, section 7.8).  WebSockets never come here,
        # they are recognised by the first request of a connection.
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        await super()._create_stream(
            h11.Request(
                method=request.method,
                target=request.target,
                headers=headers,
                http_version=request.http_version,
            )
        )

    async def _send_h11_event(self, event: Any) -> None:
        """Send it, if it is an answer of Hypercorn's own with headers that make it harmless."""
        if isinstance(event, h11.Response):
            event = _with_bare_headers(event)
        await super()._send_h11_event(event)

    @property
    def request_is_unread(self) -> bool:
        """Whether the peer may still be sending a request that nobody is going to read."""
        return self.connection.their_state in (h11.SEND_BODY, h11.ERROR)


class Http1Server(TCPServer):
    """Hypercorn's server for one connection, which speaks `Http1Protocol` only.

    Attributes:
        http1: The protocol, once the connection is being read.
    """

    http1: Http1Protocol | None = None
    _all_is_read = False

    async def run(self) -> None:
        """Serve the connection until it is over."""
        self._begun = trio.Event()
        await super().run()

    async def _read_data(self) -> None:
        made = self.protocol
        self.http1 = made.protocol = Http1Protocol(
            made.app,
            made.config,
            made.context,
            made.task_group,
            made.state,
            made.ssl,
            made.client,
            made.server,
            made.send,
        )
        self.http1.begun = self._begun
        await super()._read_data()
        self._all_is_read = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        """End a connection that waits for a request, if it is not the one that it came with."""
        with trio.move_on_after(self.config.keep_alive_timeout):
            await self._begun.wait()
            await self.context.terminated.wait()
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol asks for, but wait for no next request of a peer that has gone."""
        if not (self._all_is_read and isinstance(event, Updated)):
            await super().protocol_send(event)


class PeerSocket:
    """A connection's socket as far as Hypercorn asks for it: only for addresses.

    The peer's is the one that a proxy has told by the PROXY protocol, if one has.  The peer of a
    Unix socket is called ``unix``.
    """

    family = socket.AF_INET  # says how many parts an address has: host and port, of IPv6 too

    def __init__(self, inner: trio.socket.SocketType, remote: str) -> None:
        self._inner = inner
        self._remote = parse_endpoint(remote) or Endpoint(remote)

    def getpeername(self) -> Endpoint:
        """Return the peer's address."""
        return self._remote

    def getsockname(self) -> Endpoint:
        """Return our own."""
        name = self._inner.getsockname()
        return Endpoint(*name[:2]) if isinstance(name, tuple) else Endpoint(UNIX_PEER)


class HttpStream(trio.abc.Stream):
    """A connection's stream as Hypercorn sees it.

    A write that fails, or takes longer than `WRITE_SECONDS`, breaks the stream; breaking or
    closing it cancels ``scope``: nothing of the connection outlives its stream.  The inner stream
    stays open, its owner closes it.
    """

    def __init__(self, inner: trio.abc.Stream, scope: trio.CancelScope) -> None:
        self.inner = inner
        self.torn = False
        self._scope = scope
        self._writing = trio.CancelScope()

    @property
    def socket(self) -> trio.socket.SocketType | PeerSocket:
        """Where Hypercorn reads the addresses of both ends."""
        inner = cast(Any, self.inner)
        remote = getattr(inner, "remote", "")
        return PeerSocket(inner.socket, remote) if remote else inner.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data`` before the deadline, or raise `trio.BrokenResourceError` for good."""
        if self.torn:
            raise trio.BrokenResourceError("an earlier answer was cut short")
        self.torn = True
        try:
            with trio.move_on_after(WRITE_SECONDS) as self._writing:
                await self.inner.send_all(data)
                self.torn = False
        finally:
            if self.torn:
                self._scope.cancel()  # Hypercorn's reader may wait for an answer to be over
        if self.torn:
            raise trio.BrokenResourceError("the peer did not read its answer in time")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the inner stream would take more."""
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what the peer has sent."""
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        """End the connection."""
        self._scope.cancel()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """End the connection, and a write that is under way, which Hypercorn shields."""
        self._scope.cancel()
        self._writing.cancel()


class TlsHttpStream(HttpStream):
    """An `HttpStream` over TLS, with what Hypercorn tells TLS by."""

    async def do_handshake(self) -> None:
        """Do nothing: the handshake came before the first request, which has been read."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str:
        """Return HTTP/1.1, whatever the peer would like better."""
        return "http/1.1"

    @property
    def transport_stream(self) -> Any:
        """Whatever has the socket under the TLS."""
        return getattr(self.inner, "transport_stream", self.inner)


class HttpConnection:
    """The life of one connection, from its first request to its end."""

    def __init__(self, stream: trio.abc.Stream, *, tls: bool) -> None:
        self._scope = trio.CancelScope()
        self._goodbye = trio.CancelScope(shield=True)
        self._stream = (TlsHttpStream if tls else HttpStream)(stream, self._scope)

    async def serve(self, app: AppWrapper, config: Config, context: WorkerContext) -> None:
        """Answer requests until either side closes, then close the stream.

        Whatever a request raises ends here, with its connection.
        """
        state = ConnectionState({})
        server = Http1Server(app, config, context, state, cast(Any, self._stream))
        try:
            with self._scope:
                try:
                    await server.run()
                except* Exception as group:
                    log.debug("http_connection_failed", error=repr(group.exceptions[0]))
        finally:
            await self._close(server.http1)

    def cut(self) -> None:
        """End the connection now, whatever it is doing."""
        self._stream.cut()
        self._goodbye.cancel()

    async def _close(self, protocol: Http1Protocol | None) -> None:
        self._goodbye.deadline = trio.current_time() + GOODBYE_SECONDS
        with self._goodbye:
            if not self._stream.torn:
                await self._say_goodbye(protocol is not None and protocol.request_is_unread)
        await trio.aclose_forcefully(self._stream.inner)

    async def _say_goodbye(self, unread: bool) -> None:
        """Close in the way that lets the peer read its answer.

        Closing a socket that holds unread bytes resets the connection and may destroy the
        answer on its way (RFC 9112, section 9.6), so they are read and thrown away first.
        """
        inner = self._stream.inner
        try:
            if isinstance(inner, trio.abc.HalfCloseableStream):
                await inner.send_eof()
            while unread and await inner.receive_some(_READ_BYTES):
                pass
            await inner.aclose()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer has gone already


def _with_bare_headers(response: h11.Response) -> h11.Response:
    """Return ``response`` with those of `BARE_HEADERS` that it does not have."""
    given = {name for name, _ in response.headers}
    more = [header for header in _BARE_HEADERS if header[0] not in given]
    if not more:
        return response
    return h11.Response(status_code=response.status_code, headers=[*response.headers, *more])


def http_config(*, keep_alive: float) -> Config:
    """Return a configuration of Hypercorn for HTTP/1.1 on streams that are given to it.

    Args:
        keep_alive: Seconds that a connection may wait for its next request.
    """
    config = Config()
    config.alpn_protocols = ["http/1.1"]
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = cast(int, keep_alive)
    config.ssl_handshake_timeout = cast(int, math.inf)  # the handshake is over
    return config
