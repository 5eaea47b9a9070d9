"""The dialect of zaptools: ``{"eventName": …, "payload": …, "headers": {…}}``, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from rooms.errors import Malformed
from rooms.protocol.commands import (
    NULL,
    Dropped,
    ErrorReply,
    Join,
    Left,
    Message,
    Missed,
    Origin,
    PongReply,
    Position,
    Publication,
    Push,
    Reply,
)
from rooms.protocol.dialects.base import Decode, Dialect, Voice
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.dialects.values import UNREADABLE, encode_json, read_json
from rooms.protocol.foreign import ForeignEvent, Said
from rooms.protocol.frames import server_frame
from rooms.protocol.names import check_room

COMMAND = "rooms:"
"""Begins the names of events that are commands of the native protocol, and of their answers."""

NO_HEADERS = Raw(b"{}")

LOCAL = frozenset({"connected", "disconnected"})
"""Fired by the clients themselves: one from the server would fire them a second time."""


class _Heard(Struct):
    """What a client says; clients of all versions leave something out."""

    eventName: str  # as it is on the wire
    payload: Raw = NULL
    headers: Any = None


class _Event(Struct):
    """What the server says: always all three, for some clients end at a frame without one."""

    eventName: str
    payload: Any
    headers: Any


class _About(Struct, omit_defaults=True):
    """The headers of what was published in a room."""

    room: str
    sender: Origin | UnsetType = field(default=UNSET, name="from")
    position: Position | None = None


_native = NativeJson()
_heard = msgspec.json.Decoder(_Heard)
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Zaptools(Dialect):
    """Events by name; with a room in the path, they go to that room and come from it.

    An event whose name begins with ``rooms:`` is a command of the native protocol, its payload
    the command's fields; so is the answer.
    """

    name = "zaptools"
    paths = ("/zaptools", "/zaptools/{+room}")

    def open(self, parameters: Mapping[str, str]) -> Voice:
        if "room" not in parameters:
            return super().open(parameters)
        room = check_room(parameters["room"])
        return Voice(_decoder(room), first=(Join(room=room),))

    def decode(self, payload: bytes, binary: bool) -> Said:
        return _decode(payload, binary, None)

    def encode(self, message: Message) -> bytes:
        event = _spell(message)
        return b"" if event is None else server_frame(encode_json(event))


def _decoder(room: str) -> Decode:
    """Return how events are read whose place is ``room``."""
    return lambda payload, binary: _decode(payload, binary, room)


def _decode(payload: bytes, binary: bool, room: str | None) -> Said:
    if binary:
        raise Malformed("zaptools speaks text frames; a binary one came.")
    heard = read_json(_heard, payload)
    if heard.eventName.startswith(COMMAND):
        return _command(heard)
    return ForeignEvent(
        id=heard.eventName,  # so that a handler's answer is an event of the same name
        event=heard.eventName,
        room=room,
        payload=heard.payload,
        headers=heard.headers if isinstance(heard.headers, dict) else {},
    )


def _command(heard: _Heard) -> Said:
    """Return the command of the native protocol that an event is.

    Raises:
        RequestError: It is none.
    """
    try:
        fields = {} if bytes(heard.payload) == b"null" else _fields(heard.payload)
    except UNREADABLE as error:
        raise Malformed(f"The payload of {heard.eventName!r} must be an object: {error}.") from None
    kind = heard.eventName.removeprefix(COMMAND)
    fields |= {"type": Raw(encode_json(kind)), "id": Raw(encode_json(heard.eventName))}
    return _native.decode(encode_json(fields), False)


def _spell(message: Message) -> _Event | None:
    """Return the event that a message is; there is none for what only this protocol knows."""
    if isinstance(message, Publication):
        about = _About(message.room, message.sender, message.position)
        return _named(message.event, message.payload, about)
    if isinstance(message, Push):
        headers = NO_HEADERS if message.headers is UNSET else message.headers
        return _named(message.event, message.payload, headers)
    if isinstance(message, Reply):
        return _answer(message)
    if isinstance(message, ErrorReply):
        return _Event("error", _error(message), NO_HEADERS)
    if isinstance(message, Missed | Dropped | Left | PongReply):
        fields = _fields(encode_json(message))
        kind: str = msgspec.json.decode(fields.pop("type"))
        fields.pop("id", None)
        return _Event(COMMAND + kind, fields, NO_HEADERS)
    return None  # the greeting, and who came and went


def _named(event: str, payload: Raw, headers: Any) -> _Event | None:
    if event in LOCAL or event.startswith(COMMAND):  # else anybody could speak for the server
        return None
    return _Event(event, payload, headers)


def _answer(reply: Reply) -> _Event | None:
    """Return the answer to an event, if its handler gave one, or to a command."""
    name = str(reply.id)
    if name.startswith(COMMAND):
        fields = _fields(encode_json(reply))
        del fields["type"], fields["id"]
        return _Event(name, fields, NO_HEADERS)
    return None if reply.payload is UNSET else _Event(name, reply.payload, NO_HEADERS)


def _error(error: ErrorReply) -> dict[str, Any]:
    fields: dict[str, Any] = _fields(encode_json(error))
    del fields["type"]
    if "id" in fields:
        fields["event"] = fields.pop("id")
    return fields
