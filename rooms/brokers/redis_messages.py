"""What goes through the engine: one publication, by schema, versioned and limited in size.

JSON, because payloads are JSON already and pass through as they are.  In front of it the engine
writes a line: the epoch, the offset, and a stamp that no other publication of the room has.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from rooms.errors import LimitExceeded
from rooms.protocol.commands import Origin, Position, Publication

VERSION = 1
"""Of what is written; what a newer version writes is skipped."""

MESSAGE_BYTES = 1024 * 1024
"""The largest message: far below what an engine lets wait for a reader that is slow."""

_HEAD_BYTES = 100


class BadMessage(ValueError):
    """Not a message of ours; ``reason`` is ``oversized``, ``newer`` or ``malformed``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Sender(Struct, frozen=True, array_like=True):
    client: str | None = None
    user: str | None = None


class _Body(Struct, frozen=True, array_like=True, gc=False):
    version: Annotated[int, Meta(ge=1)]
    room: str
    event: str
    payload: Raw
    sender: _Sender | None = None


class Arrived(NamedTuple):
    """A message from the engine.

    Attributes:
        publication: None where only the epoch has changed.
    """

    position: Position
    stamp: bytes
    publication: Publication | None


_decoder = msgspec.json.Decoder(_Body)


def encode(room: str, event: str, payload: Raw, sender: Origin | None) -> bytes:
    """Return a publication as it is sent, without its position.

    Raises:
        LimitExceeded: It is larger than `MESSAGE_BYTES`.
    """
    known = None
    if sender is not None:
        known = _Sender(sender.client, sender.user)
    data = msgspec.json.encode(_Body(VERSION, room, event, payload, known))
    if len(data) > MESSAGE_BYTES - _HEAD_BYTES:
        raise LimitExceeded(f"With this broker a publication can have {MESSAGE_BYTES} bytes.")
    return data


def decode(data: bytes) -> Arrived:
    """Return what came on a channel.

    Raises:
        BadMessage: It is not one of ours.
    """
    if len(data) > MESSAGE_BYTES:
        raise BadMessage("oversized")
    head, _, body = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 3 or not words[1].isdigit() or not words[2].isdigit():
        raise BadMessage("malformed")
    position = Position(_text(words[0]), int(words[1]))
    return Arrived(position, words[2], decode_body(body, position) if body else None)


def decode_body(body: bytes, position: Position) -> Publication:
    """Return the publication that was encoded as ``body``.

    Raises:
        BadMessage: It is not one of ours.
    """
    try:
        read = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadMessage("newer" if _is_newer(body) else "malformed") from None
    if read.version > VERSION:
        raise BadMessage("newer")
    sender = read.sender
    return Publication(
        event=read.event,
        room=read.room,
        payload=read.payload,
        sender=UNSET if sender is None else Origin(sender.client, sender.user),
        position=position,
    )


def _is_newer(body: bytes) -> bool:
    """Whether a body that cannot be read begins like one of a newer version."""
    version = body[1:20].partition(b",")[0]
    return body[:1] == b"[" and version.isdigit() and int(version) > VERSION


def _text(word: bytes) -> str:
    try:
        return word.decode("ascii")
    except UnicodeDecodeError:
        raise BadMessage("malformed") from None
