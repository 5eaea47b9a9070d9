"""The only module that knows trio-websocket: control frames, fragments, the closing handshake."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from rooms.errors import Disconnect, InvalidText, Lost, MessageTooBig, ProtocolViolation
from rooms.protocol.frames import BINARY, TEXT
from rooms.transports.base import FrameWriter, Receiver
from rooms.transports.stream import FrameStream

Start = Callable[[Callable[[], Awaitable[None]]], object]

_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
"""Brings trio-websocket into the state of a connection that was accepted long ago."""

_VIOLATIONS: dict[int, type[Disconnect]] = {
    1002: ProtocolViolation,
    1007: InvalidText,
    1009: MessageTooBig,
}


class WebSocket:
    """One accepted WebSocket connection, on top of a `FrameStream`.

    Args:
        start: Starts trio-websocket in a nursery of the connection, if and when it is needed.
        message_bytes: A larger message closes the connection with 1009.
    """

    __slots__ = ("_connection", "_message_bytes", "start", "stream")

    def __init__(self, stream: FrameStream, start: Start, message_bytes: int) -> None:
        self._connection: WebSocketConnection | None = None
        self._message_bytes = message_bytes
        self.start = start
        self.stream = stream

    def attach(self, receiver: Receiver, writer: FrameWriter) -> None:
        """Begin to give messages to ``receiver`` and all frames to ``writer``."""
        self.stream.attach(receiver, writer, self._call_speaker)

    @property
    def open(self) -> bool:
        """Whether neither the peer nor the protocol has ended the connection."""
        return self._closed is None and not self.stream.closed

    @property
    def ending(self) -> Disconnect:
        """How the peer, or the protocol, ended the connection."""
        closed = self._closed
        if closed is None or closed.code == Lost.close_code:
            return Lost()
        code = int(closed.code)
        if code in _VIOLATIONS and not self.stream.goodbye_sent:
            return _VIOLATIONS[code](closed.reason or "")
        return Disconnect.received(code, closed.reason or "")

    @property
    def _closed(self) -> CloseReason | None:
        return None if self._connection is None else self._connection.closed

    def _call_speaker(self) -> None:
        self.start(self._speak)

    async def _speak(self) -> None:
        """Have trio-websocket see to the slow lane, from now to the connection's end."""
        self.stream.replay(_REQUEST)
        with _late_answers_ignored():
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(
                    nursery,
                    self.stream,
                    message_queue_size=1,
                    max_message_size=self._message_bytes,
                )
                self._connection = await request.accept()
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        self._deliver(await self._connection.get_message())

    def _deliver(self, message: str | bytes) -> None:
        """Deliver a message that came in fragments."""
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        if len(payload) > self._message_bytes:  # trio-websocket counts a text's characters
            self.stream.refuse(MessageTooBig())
        else:
            self.stream.deliver_slow((TEXT if text else BINARY, payload))


@contextlib.contextmanager
def _late_answers_ignored() -> Iterator[None]:
    """Ignore that trio-websocket wants to answer a ping that came behind a message too big.

    Its goodbye is out by then, so it fails; goes around the nursery that it reads in.
    """
    try:
        yield
    except* LocalProtocolError:
        pass
