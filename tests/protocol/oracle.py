"""wsproto as the judge of what a client's bytes mean, alone and behind a `FrameParser`."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from rooms.protocol.frames import BINARY, TEXT
from rooms.protocol.parser import FrameParser, Message

TOO_BIG = 1009


@dataclass
class Outcome:
    """What an endpoint makes of a stream of bytes.

    Attributes:
        code: Of the peer's Close frame or of the refusal; None while the connection lives.
    """

    messages: list[Message] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    code: int | None = None


class Endpoint:
    """wsproto as a server, with a limit for whole messages; notes what it makes of its input."""

    def __init__(self, message_bytes: int, outcome: Outcome) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._message_bytes = message_bytes
        self._parts = b""
        self.outcome = outcome

    def receive(self, data: bytes) -> int:
        """Take bytes and return how many messages they completed."""
        before = len(self.outcome.messages)
        if self.outcome.code is None:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._note(event)
                if self.outcome.code is not None:
                    break
        return len(self.outcome.messages) - before

    def _note(self, event: Event) -> None:
        if isinstance(event, Ping):
            self.outcome.pings.append(bytes(event.payload))
        elif isinstance(event, TextMessage):
            self._add(TEXT, event.data.encode(), event.message_finished)
        elif isinstance(event, BytesMessage):
            self._add(BINARY, bytes(event.data), event.message_finished)
        elif isinstance(event, CloseConnection):
            self.outcome.code = int(event.code)

    def _add(self, opcode: int, part: bytes, finished: bool) -> None:
        self._parts += part
        if len(self._parts) > self._message_bytes:
            self.outcome.code = TOO_BIG
        elif finished:
            self.outcome.messages.append((opcode, self._parts))
            self._parts = b""


def judge(chunks: list[bytes], message_bytes: int) -> Outcome:
    """Return what wsproto alone makes of the chunks."""
    endpoint = Endpoint(message_bytes, Outcome())
    for chunk in chunks:
        endpoint.receive(chunk)
    return endpoint.outcome


def sort(chunks: list[bytes], message_bytes: int) -> Outcome:
    """Return what a `FrameParser` with wsproto in its slow lane makes of the chunks."""
    parser, outcome = FrameParser(message_bytes), Outcome()
    slow = Endpoint(message_bytes, outcome)
    fed = 0
    for chunk in chunks:
        fed += len(chunk)
        outcome.messages += parser.feed(chunk)
        assert parser.slow_bytes <= fed
        while waiting := parser.take_slow():
            if slow.receive(waiting):  # a fragmented message is complete
                outcome.messages += parser.resume()
        assert not parser.holding or outcome.code is not None
    return outcome
