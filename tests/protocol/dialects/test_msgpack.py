"""`rooms.protocol.dialects.msgpack`: the native protocol in MessagePack."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rooms.errors import InvalidPayload, Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import (
    Join,
    Missed,
    Ping,
    Position,
    PresenceChange,
    Publication,
    Push,
    Reply,
    SendEvent,
)
from rooms.protocol.dialects.msgpack import NativeMsgpack
from rooms.protocol.frames import BINARY
from rooms.testing.frames import take_frame

msgpack = NativeMsgpack()
pack = msgspec.msgpack.encode
E1_42 = Position("e1", 42)


def unpacked(frame: bytes) -> Any:
    taken = take_frame(bytearray(frame))
    assert taken is not None
    assert taken.opcode == BINARY
    return msgspec.msgpack.decode(taken.payload)


def said(payload: bytes) -> Publication:
    return Publication(event="said", room="lobby", payload=Raw(payload), position=E1_42)


def test_a_command_is_a_map_in_a_binary_frame() -> None:
    assert msgpack.decode(pack({"type": "ping", "id": 1}), binary=True) == Ping(id=1)
    join = {"type": "join", "room": "lobby", "since": ["e1", 41], "x": 1}
    assert msgpack.decode(pack(join), binary=True) == Join(room="lobby", since=Position("e1", 41))


@pytest.mark.parametrize(
    ("payload", "travels_as"),
    [
        ({"text": "ž"}, b'{"text":"\xc5\xbe"}'),
        ([1, -1.5, None, True], b"[1,-1.5,null,true]"),
        (2**64 - 1, b"18446744073709551615"),
        (b"\0\1", b'"AAE="'),
        (float("nan"), b"null"),
        ({1: 2}, b'{"1":2}'),
    ],
)
def test_a_payload_travels_as_json(payload: object, travels_as: bytes) -> None:
    event = {"type": "event", "event": "say", "room": "lobby", "payload": payload, "id": 1}
    command = msgpack.decode(pack(event), binary=True)
    assert isinstance(command, SendEvent)
    assert (command.event, command.room, command.id) == ("say", "lobby", 1)
    assert bytes(command.payload) == travels_as


def test_an_event_without_a_payload_has_null() -> None:
    command = msgpack.decode(pack({"type": "event", "event": "say"}), binary=True)
    assert isinstance(command, SendEvent)
    assert bytes(command.payload) == b"null"


def test_what_json_has_no_word_for_is_refused_with_the_id() -> None:
    event = {"type": "event", "event": "e", "id": 3, "payload": msgspec.msgpack.Ext(5, b"")}
    with pytest.raises(InvalidPayload) as caught:
        msgpack.decode(pack(event), binary=True)
    assert caught.value.id == 3


@pytest.mark.parametrize(
    ("payload", "kind", "command_id"),
    [
        (b"", Malformed, None),
        (b"\x81", Malformed, None),
        (pack([1]), Malformed, None),
        (pack({"type": "join", "id": 2}), Malformed, 2),
        (pack({"type": "dance", "id": "x"}), UnknownCommand, "x"),
        (b"\x91" * 5000, Malformed, None),
    ],
)
def test_what_is_malformed_is_refused(
    payload: bytes, kind: type[RequestError], command_id: object
) -> None:
    with pytest.raises(kind) as caught:
        msgpack.decode(payload, binary=True)
    assert caught.value.id == command_id


def test_a_text_frame_is_refused() -> None:
    with pytest.raises(Malformed, match="binary"):
        msgpack.decode(pack({"type": "ping"}), binary=False)


def test_a_message_has_the_fields_that_it_has_in_json() -> None:
    assert unpacked(msgpack.encode(said(b'{"text": "hi"}'))) == {
        "type": "event",
        "event": "said",
        "room": "lobby",
        "payload": {"text": "hi"},
        "position": ["e1", 42],
    }
    change = PresenceChange(
        room="lobby", joined={"Ana": [{"client": "c7"}]}, left={}, count=2, position=E1_42
    )
    assert unpacked(msgpack.encode(change))["joined"] == {"Ana": [{"client": "c7"}]}
    assert unpacked(msgpack.encode(Reply(id=5))) == {"type": "reply", "id": 5}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", float(2**64)),
        (b"-9223372036854775809", -float(2**63)),
        (b"9" * 400, float("inf")),
        (b"[1e400, 1]", [float("inf"), 1]),
        (b"[" * 30_000 + b"]" * 30_000, "[" * 30_000 + "]" * 30_000),
    ],
)
def test_json_that_messagepack_cannot_say_arrives_as_near_as_can_be(
    payload: bytes, value: object
) -> None:
    assert unpacked(msgpack.encode(said(payload)))["payload"] == value
    missed = unpacked(msgpack.encode(Missed(room="lobby", missed=[said(payload)], more=False)))
    assert missed["missed"][0]["payload"] == value
    reply = unpacked(msgpack.encode(Reply(id=1, room="lobby", publications=[said(payload)])))
    assert reply["publications"][0]["payload"] == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip


@given(json_values)
def test_a_payload_comes_out_as_it_went_in(value: object) -> None:
    if "Infinity" in repr(value) or "inf" in repr(value):
        return  # which JSON cannot say
    event = {"type": "event", "event": "e", "payload": value}
    command = msgpack.decode(pack(event), binary=True)
    assert isinstance(command, SendEvent)
    assert unpacked(msgpack.encode(Push("e", command.payload)))["payload"] == value
