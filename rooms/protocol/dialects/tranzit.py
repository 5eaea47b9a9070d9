"""The dialect of tranzit: ``name|arg1,arg2``, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from rooms.errors import Malformed
from rooms.protocol.commands import ErrorReply, Join, Left, Message, Publication, Push, Reply
from rooms.protocol.dialects.base import Decode, Dialect, Voice
from rooms.protocol.dialects.values import UNREADABLE, decode_json, encode_json
from rooms.protocol.foreign import ForeignEvent, Said
from rooms.protocol.frames import server_frame
from rooms.protocol.names import check_room

BAR, COMMA = "|", ","
JSON_BEGINS = ("[", "{")
"""What follows the bar begins so where it is JSON and no arguments."""


class Tranzit(Dialect):
    """Events by name, with texts as arguments: the payload is their list.

    There is no way to write a bar or a comma inside an argument, so a payload that is more than
    texts without them is JSON, behind the bar, as a whole; in it a bar is written ``\\u007c``.
    With a room in the path, events go to that room and come from it.
    """

    name = "tranzit"
    paths = ("/tranzit", "/tranzit/{+room}")
    signs_in = False

    def open(self, parameters: Mapping[str, str]) -> Voice:
        if "room" not in parameters:
            return super().open(parameters)
        room = check_room(parameters["room"])
        return Voice(_decoder(room), first=(Join(room=room),))

    def decode(self, payload: bytes, binary: bool) -> Said:
        return _decode(payload, binary, None)

    def encode(self, message: Message) -> bytes:
        if isinstance(message, Publication | Push):
            return _frame(message.event, message.payload)
        if isinstance(message, Reply) and message.payload is not UNSET:
            return _frame(str(message.id), encode_json(message.payload))
        if isinstance(message, Left):
            place = message.filter if message.room is UNSET else message.room
            return server_frame(f"left|{_bare(str(place))},{message.reason}".encode())
        if isinstance(message, ErrorReply):
            which = "" if message.id is UNSET else str(message.id)
            said = (which, message.code, message.message)
            return server_frame(("error|" + ",".join(map(_bare, said))).encode())
        return b""  # all else is of this protocol alone


def _decoder(room: str) -> Decode:
    """Return how events are read whose place is ``room``."""
    return lambda payload, binary: _decode(payload, binary, room)


def _decode(payload: bytes, binary: bool, room: str | None) -> Said:
    if binary:
        raise Malformed("tranzit speaks text frames; a binary one came.")
    try:
        name, bar, rest = payload.decode().partition(BAR)
    except UnicodeDecodeError:
        raise Malformed("The text is not UTF-8.") from None
    if not bar:
        raise Malformed("A bar must follow the name even where no arguments do.")
    # so that a handler's answer is an event of the same name, the name is the id
    return ForeignEvent(id=name, event=name, room=room, payload=_payload(rest))


def _payload(rest: str) -> Raw:
    """Return what is behind the bar: JSON if it is that, else a list of texts."""
    if rest.startswith(JSON_BEGINS):
        text = rest.encode()
        try:
            decode_json(text)
            return Raw(text)
        except UNREADABLE:
            pass
    arguments = rest.partition(BAR)[0].split(COMMA)
    return Raw(encode_json(arguments))


def _frame(name: str, payload: bytes | Raw) -> bytes:
    if BAR in name:
        return b""  # it would be another name
    return server_frame(f"{name}{BAR}{_arguments(payload)}".encode())


def _bare(text: str) -> str:
    """Return a text for people without what parts arguments."""
    return text.replace(COMMA, ";").replace(BAR, "/")


def _arguments(payload: bytes | Raw) -> str:
    """Return what stands behind the bar for a payload."""
    value = _value(payload)
    texts = value if isinstance(value, list) and value else [value]
    if all(isinstance(text, str) and BAR not in text and COMMA not in text for text in texts):
        line = COMMA.join(texts)
        if not line.startswith(JSON_BEGINS):
            return line
    return bytes(payload).decode("utf-8", "replace").replace(BAR, "\\u007c")


def _value(payload: bytes | Raw) -> Any:
    try:
        return msgspec.json.decode(payload)
    except UNREADABLE:
        return None
