"""The dialect of fastapi-distributed-websocket: flat objects, topics, ids that clients choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from rooms.errors import Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import (
    ErrorReply,
    Join,
    Leave,
    Left,
    Message,
    Publication,
    Push,
    Subscribe,
    Unsubscribe,
)
from rooms.protocol.dialects.base import Decoded, Dialect, Voice
from rooms.protocol.dialects.values import UNREADABLE, encode_json, read_json
from rooms.protocol.foreign import ForeignEvent, Said, Tell
from rooms.protocol.frames import server_frame
from rooms.protocol.names import check_event, check_name
from rooms.protocol.topics import ONE_LEVEL, REST

EVENT = "message"
"""The name of events that come without one: this dialect's own have none."""

EVERYBODY = "broadcast"
"""The room that all connections of this dialect are in."""

RECEIVERS = 100
"""The most connections that one message can be for."""

Fields = dict[str, Raw]

_fields = msgspec.json.Decoder(Fields)
_ids = msgspec.json.Decoder(str | list[str])
_text = msgspec.json.Decoder(str)
_NAMED = {"event", "payload"}
_SILENT = {"already_joined", "not_member"}  # of no consequence: it is as was asked


class Fdw(Dialect):
    """``type`` says what to do with all else in an object, which arrives as it is.

    A topic without wildcards is a room, and to subscribe is to be in it; one with wildcards is a
    filter.  The first may be in the query, as ``?topic=…``.  What is sent to a topic need not come
    from a subscriber.
    """

    name = "fdw"
    paths = ("/fdw/{conn_id}",)
    signs_in = False

    def open(self, parameters: Mapping[str, str]) -> Voice:
        name = check_name(parameters["conn_id"])
        first: tuple[Said, ...] = (Join(room=EVERYBODY),)
        if topic := parameters.get("topic"):
            first += (_subscription(topic),)
        return Voice(self.decode, name, first)

    def decode(self, payload: bytes, binary: bool) -> Decoded:
        if binary:
            raise Malformed("This dialect speaks text frames; a binary one came.")
        data = read_json(_fields, payload)
        kind = _read(_text, data.pop("type", None), "type", "a text")
        if kind not in _COMMANDS:
            raise UnknownCommand(f"There is no type {kind!r}, only {', '.join(_COMMANDS)}.")
        topic, receivers = data.pop("topic", None), data.pop("conn_id", None)
        return _COMMANDS[kind](topic, receivers, data)

    def encode(self, message: Message) -> bytes:
        if isinstance(message, Publication | Push):
            return server_frame(_data(message.event, message.payload))
        if isinstance(message, ErrorReply) and message.code not in _SILENT:
            return server_frame(encode_json({"error": message.message}))
        if isinstance(message, Left):
            place = message.filter if message.room is UNSET else message.room
            return server_frame(encode_json({"error": f"You were taken out of {place!r}."}))
        return b""  # nothing else is ever said


def _subscribe(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    return _subscription(_topic(topic))


def _subscription(name: str) -> Said:
    return Subscribe(filter=name) if _is_filter(name) else Join(room=name)


def _unsubscribe(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    name = _topic(topic)
    return Unsubscribe(filter=name) if _is_filter(name) else Leave(room=name)


def _send(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    event, payload = _event(data)
    return ForeignEvent(event=event, room=_topic(topic), payload=payload, outside=True)


def _broadcast(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    event, payload = _event(data)
    return ForeignEvent(event=event, room=EVERYBODY, payload=payload, outside=True)


def _send_by_id(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    ids = _read(_ids, receivers, "conn_id", "a text or a list of texts")
    names = tuple(dict.fromkeys([ids] if isinstance(ids, str) else ids))
    if len(names) > RECEIVERS:
        raise Malformed(f"One message can be for {RECEIVERS} connections, not {len(names)}.")
    event, payload = _event(data)
    return Tell(names=names, event=event, payload=payload)


def _connect(topic: Raw | None, receivers: Raw | None, data: Fields) -> Decoded:
    return ()  # is allowed, and never did anything


_COMMANDS: dict[str, Callable[[Raw | None, Raw | None, Fields], Decoded]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "send": _send,
    "broadcast": _broadcast,
    "send_by_conn_id": _send_by_id,
    "connect": _connect,
}


def _topic(topic: Raw | None) -> str:
    text: str = _read(_text, topic, "topic", "a text")
    return text


def _read(decoder: msgspec.json.Decoder[Any], field: Raw | None, name: str, wanted: str) -> Any:
    """Return a field that says what is to be done.

    Raises:
        Malformed: It is missing, or not what it must be.
    """
    try:
        if field is not None:
            return decoder.decode(field)
    except UNREADABLE:
        pass
    raise Malformed(f"This takes a {name!r}, which must be {wanted}.")


def _is_filter(topic: str) -> bool:
    return ONE_LEVEL in topic or REST in topic


# An event has a name where others are in the room that know of names: those who listen to other
# events than `EVENT` get, and may send, {"event": …, "payload": …}, and nothing beside that.


def _event(data: Fields) -> tuple[str, Raw]:
    """Return the name and payload of what is left of an object without its tags."""
    name = _name(data)
    return (EVENT, Raw(encode_json(data))) if name is None else (name, data["payload"])


def _name(data: Fields) -> str | None:
    """Return the name that an event comes with, if it is not flat."""
    if data.keys() != _NAMED:
        return None
    try:
        return check_event(_text.decode(data["event"]))
    except (*UNREADABLE, RequestError):
        return None  # it only looks like one


def _data(event: str, payload: Raw) -> bytes:
    """Return the object that `_event` makes the same event of."""
    if event == EVENT and _is_flat(payload):
        return bytes(payload)
    return encode_json({"event": event, "payload": payload})


def _is_flat(payload: Raw) -> bool:
    """Whether an event without a name may arrive as it is."""
    text = bytes(payload)
    if not text.lstrip().startswith(b"{"):
        return False
    if b"\\u" not in text and b'"event"' not in text:
        return True
    try:
        return _name(_fields.decode(text)) is None
    except UNREADABLE:
        return True
