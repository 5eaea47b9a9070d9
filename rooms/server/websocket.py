"""A WebSocket as the handler of an application's own endpoint sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import trio

from rooms.core.identity import Identity
from rooms.errors import Disconnect, NormalClosure
from rooms.protocol.commands import User
from rooms.protocol.incremental import NO_CODE
from rooms.transports import messages
from rooms.transports.endpoint import Data, Endpoint
from rooms.transports.messages import IncomingMessage, OutgoingMessage

if TYPE_CHECKING:
    from rooms.server.raw import RawConnection

CLEAN_CODES = frozenset({1000, 1001, NO_CODE})
"""A peer that says one of these is done, or leaves the page; anything else went wrong."""


class NotAccepted(RuntimeError):
    """Call ``accept()`` before anything is sent or received."""


class WebSocket:
    """One connection to an endpoint of an application's own, from ``@app.websocket(path)``.

    When the connection has ended, whatever is received or sent raises the `Disconnect` that says
    why, with its ``code`` and ``reason``: 1006 means that it was lost.  One task may receive
    while others send; a message is never sent into the middle of another.

    Attributes:
        connection: The server's own side of it.
        path_parameters: What stands in the path for each ``{name}``, percent-decoded.
        raw_parameters: The same as it came.
    """

    def __init__(self, connection: RawConnection, raw_parameters: dict[str, str]) -> None:
        self.connection = connection
        self.raw_parameters = raw_parameters
        self.path_parameters = {name: unquote(value) for name, value in raw_parameters.items()}

    def __repr__(self) -> str:
        return f"<WebSocket {self.id} {self.path} from {self.remote}>"

    # The request.

    @property
    def id(self) -> str:
        """Made by the server, never used again while it runs."""
        return self.connection.id

    @property
    def path(self) -> str:
        """Of the request, percent-decoded, without the query."""
        return self.connection.handshake.path

    @property
    def query(self) -> str:
        """Of the request, as it came."""
        return self.connection.handshake.query

    @property
    def query_parameters(self) -> dict[str, str]:
        """The query's parameters, decoded; of one that comes twice, the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the request: names in lower case; of one sent twice, the values joined by a comma."""
        return self.connection.handshake.headers

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """Those that the client offers, most wanted first."""
        return self.connection.handshake.subprotocols

    @property
    def subprotocol(self) -> str | None:
        """The one that was selected."""
        return self.connection.subprotocol

    @property
    def remote(self) -> str:
        """The client's address, as a trusted proxy tells it if it came through one."""
        return self.connection.handshake.remote

    @property
    def identity(self) -> Identity | None:
        """Who the client has proved to be, with what came with the proof."""
        return self.connection.identity

    @property
    def user(self) -> User | None:
        """Who is behind the connection, if that is known."""
        return None if self.identity is None else self.identity.user

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token said that it signed in with; empty without one."""
        return {} if self.identity is None else self.identity.claims

    @property
    def rooms(self) -> list[str]:
        """None: only a `Client` is in rooms."""
        return []

    @property
    def connected_at(self) -> float:
        """When the request came, in seconds since 1970."""
        return self.connection.connected_at

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the client to read it, beside what the system holds."""
        return self.connection.waiting_bytes

    @property
    def latency(self) -> float | None:
        """Seconds from the last ping that was answered to its pong; None before the first."""
        return self.connection.latency

    # The handshake, of an endpoint with ``accept=False``.

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: To select, one of those that the client offers.
            headers: Further ones of the answer.

        Raises:
            RuntimeError: It has been accepted or rejected.
            ValueError: The client does not offer that subprotocol, or a header is none or one of
                the handshake's own.
            Refused: The client's sign-in has ended meanwhile, which it is told if nobody minds.
        """
        await self.connection.accept(subprotocol, headers)

    async def reject(self, status: int = HTTPStatus.FORBIDDEN, body: str | None = None) -> None:
        """Answer by a status and a text instead of accepting.

        Args:
            body: Plain text; if not given, an error in JSON like all refusals of the server.

        Raises:
            RuntimeError: It has been accepted or rejected.
            ValueError: There is no such status, or it is an interim one such as 101.
        """
        await self.connection.reject(status, body)

    # Messages.

    async def receive(self) -> Data:
        """Return the next message; an empty one is one too.

        If it is cancelled, nothing is lost.  A message of more than ``message_bytes`` ends the
        connection; `receive_stream` reads any.

        Raises:
            Disconnect: The connection has ended, and why.
        """
        connection = self.connection
        return await self._endpoint.receive(connection.message_bytes)

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> Data:
        """Return the next message, until the peer is done: a clean close just ends the loop.

        Raises:
            Disconnect: The connection ended in another way.
        """
        try:
            return await self.receive()
        except Disconnect as end:
            if end.code in CLEAN_CODES:
                raise StopAsyncIteration from None
            raise

    def receive_stream(self) -> IncomingMessage:
        """Return the next message to be read while it arrives, of whatever size.

        ``async for part in ws.receive_stream()``; a peer that sends faster than that has to wait.
        What is not read of it is dropped when the next is received.
        """
        return IncomingMessage(self._endpoint)

    async def send(self, data: Data) -> None:
        """Send a message, as soon as the client has taken what was sent before.

        If it is cancelled, either all of the message is sent or nothing; a large one (more than
        256 KiB, which goes in fragments) may have begun, and then the connection ends.

        Raises:
            Disconnect: The connection has ended, and why.
            RuntimeError: This task is in the block of a `stream_message`.
        """
        await self._endpoint.send(data)

    def stream_message(self, *, text: bool = True) -> OutgoingMessage:
        """Send one message part by part, each in a fragment of its own.

        ``async with ws.stream_message() as out: await out.send(part)``.  Other messages wait until
        it is finished.  If the block is left by an exception, the connection ends.

        Args:
            text: Whether the parts are text; else they are bytes.
        """
        return OutgoingMessage(self._endpoint, text=text)

    async def close(self, code: int = NormalClosure.close_code, reason: str = "") -> None:
        """Say goodbye, after what was sent; nothing can be sent or received any more.

        Args:
            reason: A short text for people; 123 bytes of it arrive.

        Raises:
            ValueError: ``code`` may not be sent (RFC 6455, section 7.4.2).
        """
        end = Disconnect(reason, code)
        end.reason = reason
        self._endpoint.end(end)
        await trio.lowlevel.checkpoint()

    @property
    def closed(self) -> Disconnect | None:
        """Why nothing more can be received; None while the connection is open."""
        return self._endpoint.reason

    @property
    def _endpoint(self) -> Endpoint:
        if self.connection.endpoint is None:
            raise NotAccepted("this connection has not been accepted: await ws.accept() first")
        return self.connection.endpoint


async def relay(incoming: IncomingMessage, outgoing: WebSocket) -> None:
    """Send one message on to another WebSocket while it arrives: ``relay(a.receive_stream(), b)``.

    Whoever reads slowly slows down whoever sends.

    Raises:
        Disconnect: Either connection has ended.
    """
    await messages.relay(incoming, outgoing._endpoint)
