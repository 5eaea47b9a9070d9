"""The only module that knows trio-websocket: handshake, fragments and the closing handshake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from rooms.errors import Disconnect, InvalidText, Lost, MessageTooBig, ProtocolViolation
from rooms.protocol.frames import BINARY, TEXT, close_frame
from rooms.transports.base import FrameWriter, Receiver
from rooms.transports.stream import FrameStream

_VIOLATIONS: dict[int, type[Disconnect]] = {
    1002: ProtocolViolation,
    1007: InvalidText,
    1009: MessageTooBig,
}


class WebSocket:
    """One accepted WebSocket connection, on top of a `FrameStream`."""

    __slots__ = ("_connection", "_message_bytes", "_nursery", "stream")

    def __init__(
        self,
        nursery: trio.Nursery,
        stream: FrameStream,
        connection: WebSocketConnection,
        message_bytes: int,
    ) -> None:
        self._nursery = nursery
        self._connection = connection
        self._message_bytes = message_bytes
        self.stream = stream

    def attach(self, receiver: Receiver, writer: FrameWriter) -> None:
        """Begin to give messages to ``receiver`` and all frames to ``writer``."""
        self.stream.attach(receiver, writer, self._fetch_soon)

    @property
    def open(self) -> bool:
        """Whether neither the peer nor the protocol has ended the connection."""
        return self._connection.closed is None and not self.stream.closed

    @property
    def ending(self) -> Disconnect:
        """How the peer, or the protocol, ended the connection."""
        closed = self._connection.closed
        if closed is None or closed.code == Lost.close_code:
            return Lost()
        code = int(closed.code)
        if code in _VIOLATIONS and not self.stream.goodbye_sent:
            return _VIOLATIONS[code](closed.reason or "")
        return Disconnect.received(code, closed.reason or "")

    def _fetch_soon(self) -> None:
        self._nursery.start_soon(self._fetch)

    async def _fetch(self) -> None:
        """Fetch one message that came in fragments."""
        try:
            message = await self._connection.get_message()
        except ConnectionClosed:
            return
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        if len(payload) > self._message_bytes:  # trio-websocket counts a text's characters
            self.stream.say_goodbye(close_frame(MessageTooBig.close_code, "message too big"))
        else:
            self.stream.deliver_slow((TEXT if text else BINARY, payload))


@contextlib.contextmanager
def late_answers_ignored() -> Iterator[None]:
    """Ignore that trio-websocket wants to answer a ping that came behind a message too big.

    Its goodbye is out by then, so it fails; goes around the nursery that it reads in.
    """
    try:
        yield
    except* LocalProtocolError:
        pass


async def accept(
    nursery: trio.Nursery, stream: FrameStream, subprotocol: str | None, message_bytes: int
) -> WebSocket | None:
    """Do the opening handshake, or return None if it was refused or the peer is gone.

    Args:
        nursery: Lives as long as the connection; trio-websocket reads in it.
        stream: Replays the request.
        subprotocol: To select; one that the client offered.
        message_bytes: A larger message closes the connection with 1009.
    """
    with trio.CancelScope() as scope, contextlib.suppress(ConnectionClosed):
        # after a refusal trio-websocket closes the stream and would have us wait for ever
        stream.when_closed = scope.cancel
        request = await wrap_server_stream(
            nursery, stream, message_queue_size=1, max_message_size=message_bytes
        )
        connection = await request.accept(subprotocol=subprotocol)
        stream.when_closed = None
        return WebSocket(nursery, stream, connection, message_bytes)
    return None
