"""Who answers a new connection: reads the first request and decides.

It knows nothing of HTTP servers: it is given a handler for the streams of all requests that are
not a WebSocket's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
import trio

from rooms.protocol.dialects import choose
from rooms.protocol.handshake import accept_answer
from rooms.protocol.http import END_OF_HEAD, BadHead, RequestHead, check_start, parse_head, response
from rooms.protocol.origin import origin_allowed
from rooms.server.connection import Accepted, serve_websocket
from rooms.server.node import Node
from rooms.transports.base import Handshake, Link
from rooms.transports.link_stream import LinkStream
from rooms.transports.links import SocketLink, StreamLink
from rooms.transports.replay import ReplayStream
from rooms.transports.stream import FrameStream
from rooms.transports.tls import TlsLink

ServeHttp = Callable[[trio.abc.Stream], Awaitable[None]]

REFUSAL_SECONDS = 1.0
"""How long a client gets to read why it was refused."""

log = structlog.get_logger("rooms")


class Door:
    """Hands WebSocket upgrades to sessions and everything else to ``serve_http``.

    Args:
        serve_http: Gets each stream whose first request is not a WebSocket's; it replays that
            request.  Without it such requests are answered 404.
    """

    def __init__(self, node: Node, serve_http: ServeHttp | None = None) -> None:
        self._node = node
        self._serve_http = serve_http

    def serve_socket(self, connection: socket.socket, remote: str) -> Awaitable[None]:
        """Serve a connected, non-blocking socket; closing it is its owner's."""
        link = SocketLink(connection, self._node.poller)
        return self._serve(link, remote, link.stream)

    async def serve_tls(self, connection: socket.socket, tls: ssl.SSLContext, remote: str) -> None:
        """Serve a connected socket whose peer is to speak TLS."""
        link = TlsLink(SocketLink(connection, self._node.poller), tls)
        try:
            with trio.move_on_after(self._node.settings.head_seconds) as hurry:
                await link.shake_hands()
            if not hurry.cancelled_caught:
                await self._serve(link, remote, lambda: LinkStream(link, connection))
        finally:
            await _close(link)

    def serve_stream(self, stream: trio.abc.Stream, remote: str) -> Awaitable[None]:
        """Serve a connection that is any Trio stream, and close it."""
        link = StreamLink(stream)
        return self._serve(link, remote, link.stream)

    # Every coroutine that waits as long as the connection lasts costs a quarter of a kilobyte, so
    # there are few, and they hold nothing of the request.

    async def _serve(
        self, link: Link, remote: str, open_stream: Callable[[], trio.abc.Stream]
    ) -> None:
        try:
            opened = await self._open(link, remote)
            if isinstance(opened, Accepted):
                await serve_websocket(self._node, opened)
            elif opened is not None and self._serve_http is not None:
                await self._serve_http(ReplayStream(open_stream(), opened))
        finally:
            await _close(link)

    async def _open(self, link: Link, remote: str) -> Accepted | bytes | None:
        """Return a WebSocket, or a request to replay to ``serve_http``, or None if refused."""
        try:
            with trio.move_on_after(self._node.settings.head_seconds):
                return await self._answer(link, remote)
            raise BadHead(HTTPStatus.REQUEST_TIMEOUT)
        except BadHead as error:
            log.debug("request refused", remote=remote, status=error.status)
            await _refuse(link, error)
            return None

    async def _answer(self, link: Link, remote: str) -> Accepted | bytes | None:
        """Read the first request and decide.

        Raises:
            BadHead: It is malformed, too large or not for this server.
        """
        raw, extra = await self._read_head(link)
        head = parse_head(raw)
        if head.is_websocket:
            return await self._accept(head, extra, link, remote)
        if self._serve_http is not None:
            return head.without_upgrade() + extra
        raise BadHead(HTTPStatus.NOT_FOUND)

    async def _read_head(self, link: Link) -> tuple[bytes, bytes]:
        data = b""
        while (end := data.find(END_OF_HEAD)) < 0:
            if len(data) > self._node.settings.head_bytes:
                raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            more = await link.receive_some()
            if not more:
                raise trio.BrokenResourceError("closed before its first request")
            data += more
            check_start(data)
        end += len(END_OF_HEAD)
        if end > self._node.settings.head_bytes:
            raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return data[:end], data[end:]

    async def _accept(self, head: RequestHead, extra: bytes, link: Link, remote: str) -> Accepted:
        """Accept a WebSocket on a known path, from an origin that may.

        Raises:
            BadHead: It is refused; nothing of the application has run.
        """
        chosen = choose(head.path, head.subprotocols)
        if chosen is None:
            raise BadHead(HTTPStatus.NOT_FOUND)
        if head.has_body:
            raise BadHead(HTTPStatus.BAD_REQUEST)
        if self._node.draining:
            raise BadHead(HTTPStatus.SERVICE_UNAVAILABLE)
        self._check_origin(head, remote)
        dialect, subprotocol = chosen
        message_bytes = self._node.settings.message_bytes
        await link.send_all(accept_answer(head, subprotocol))
        stream = FrameStream(link, message_bytes)
        handshake = Handshake(head.path, head.query, head.raw, head.subprotocols, remote)
        return Accepted(stream, extra, handshake, dialect)

    def _check_origin(self, head: RequestHead, remote: str) -> None:
        origin, host = head.headers.get("origin"), head.headers.get("host", "")
        if not origin_allowed(origin, host, self._node.settings.origins):
            log.warning(
                "origin refused: add it to the setting `origins` to allow it",
                origin=origin,
                host=host,
                remote=remote,
            )
            raise BadHead(HTTPStatus.FORBIDDEN)


async def _refuse(link: Link, error: BadHead) -> None:
    """Answer, where there is an answer, and give the client a moment to read it."""
    if error.status is None:
        return
    with trio.move_on_after(REFUSAL_SECONDS), contextlib.suppress(trio.BrokenResourceError):
        await link.send_all(response(error.status))
        await link.finish()


async def _close(link: Link) -> None:
    with trio.CancelScope(shield=True):
        await link.aclose()
