"""Members and dialects that remember what they were given."""

from __future__ import annotations

from msgspec import Raw

from rooms.core.outgoing import Outgoing
from rooms.core.slow import Portion
from rooms.protocol.commands import Command, Message, Position, Publication, Push
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.dialects.native import NativeJson

NATIVE = NativeJson()


class TaggedDialect(Dialect):
    """Writes ``<tag>:<event>;`` for every message and counts how often it did."""

    name = "tagged"
    paths = ("/tagged",)

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.encoded = 0

    def decode(self, payload: bytes, binary: bool) -> Command:
        raise NotImplementedError

    def encode(self, message: Message) -> bytes:
        self.encoded += 1
        assert isinstance(message, Push | Publication)
        return f"{self.tag}:{message.event};".encode()


class FakeMember:
    """A connection that keeps every write."""

    def __init__(self, member_id: str, dialect: Dialect = NATIVE) -> None:
        self.id = member_id
        self.dialect = dialect
        self.writes: list[bytes] = []
        self.portions: list[Portion | None] = []

    def __repr__(self) -> str:
        return f"<FakeMember {self.id}>"

    def write(self, frames: bytes, portion: Portion | None = None, /) -> None:
        self.writes.append(frames)
        self.portions.append(portion)


def push(event: str) -> Outgoing:
    """A message that can be told from others."""
    return Outgoing(Push(event, Raw(b"null")))


def publication(room: str, event: str, offset: int) -> Publication:
    """What a broker delivers."""
    return Publication(event=event, room=room, payload=Raw(b"1"), position=Position("e1", offset))
