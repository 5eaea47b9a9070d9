"""`rooms.protocol.dialects.native`: what stands on the wire, byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rooms.errors import Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import (
    Auth,
    Command,
    Dropped,
    ErrorReply,
    Join,
    Leave,
    Limits,
    ListHistory,
    ListPresence,
    Message,
    Origin,
    Ping,
    Pong,
    PongReply,
    Position,
    PresenceChange,
    Publication,
    Push,
    Reply,
    SendEvent,
    Subscribe,
    Unsubscribe,
    User,
    Welcome,
)
from rooms.protocol.dialects.native import NativeJson
from rooms.protocol.frames import server_frame

native = NativeJson()
E1_42 = Position("e1", 42)


def decode(text: str | bytes) -> Command:
    return native.decode(text.encode() if isinstance(text, str) else text, binary=False)


def refusal(text: str | bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(text)
    return caught.value


# What a client says.

COMMANDS: dict[str, Command] = {
    '{"type":"auth","token":"t","id":1}': Auth(token="t", id=1),
    '{"type":"auth","name":"Ana","secret":"s","id":1}': Auth(name="Ana", secret="s", id=1),
    '{"type":"join","room":"lobby","id":2}': Join(room="lobby", id=2),
    '{"type":"join","room":"lobby"}': Join(room="lobby"),
    '{"type":"join","room":"lobby","id":"a"}': Join(room="lobby", id="a"),
    '{"type":"leave","room":"lobby","id":9}': Leave(room="lobby", id=9),
    '{"type":"presence","room":"lobby","id":6}': ListPresence(room="lobby", id=6),
    '{"type":"ping"}': Ping(),
    '{"type":"ping","id":7}': Ping(id=7),
    '{"type":"pong"}': Pong(),
    '{"type":"event","event":"say","room":"lobby","payload":{"text":"hi"},"id":4,"key":"k-1"}': (
        SendEvent(event="say", room="lobby", payload=Raw(b'{"text":"hi"}'), id=4, key="k-1")
    ),
    '{"type":"join","room":"lobby","since":["e1",41],"id":3}': (
        Join(room="lobby", since=Position("e1", 41), id=3)
    ),
    '{"type":"history","room":"lobby","limit":50,"before":["e1",42],"id":7}': (
        ListHistory(room="lobby", limit=50, before=E1_42, id=7)
    ),
    '{"type":"subscribe","filter":"news/#","id":8}': Subscribe(filter="news/#", id=8),
    '{"type":"unsubscribe","filter":"news/#"}': Unsubscribe(filter="news/#"),
    '{"type":"event","event":"echo","payload":1,"id":5}': (
        SendEvent(event="echo", payload=Raw(b"1"), id=5)
    ),
    '{"type":"event","event":"typing"}': SendEvent(event="typing", payload=Raw(b"null")),
}


@pytest.mark.parametrize(("text", "command"), COMMANDS.items())
def test_a_command_is_understood(text: str, command: Command) -> None:
    assert decode(text) == command


def test_white_space_and_order_make_no_difference() -> None:
    assert decode(' {\n"id" : 2 , "room":"lobby","type":"join" } ') == Join(room="lobby", id=2)


def test_a_field_that_nobody_knows_is_ignored() -> None:
    assert decode('{"type":"leave","room":"a","__proto__":{},"x":[1,{}]}') == Leave(room="a")


def test_a_payload_stays_as_it_was_typed() -> None:
    command = decode('{"type":"event","event":"e","payload": {"b" : 1.50, "a":[ ] } }')
    assert isinstance(command, SendEvent)
    assert bytes(command.payload) == b'{"b" : 1.50, "a":[ ] }'


def test_a_whole_surrogate_pair_in_escapes_is_text() -> None:
    command = decode(rb'{"type":"event","event":"\ud83d\ude00","payload":"\ud83d\ude00"}')
    assert isinstance(command, SendEvent)
    assert command.event == "😀"


MALFORMED = {
    "nothing": "",
    "no JSON": "hello",
    "cut short": '{"type":"join"',
    "two values": '{"type":"ping"} {}',
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "no type": '{"room":"lobby"}',
    "no room": '{"type":"join"}',
    "a room that is no text": '{"type":"join","room":1}',
    "an id that is neither number nor text": '{"type":"ping","id":1.5}',
    "an id beyond what JavaScript counts": '{"type":"ping","id":9007199254740993}',
    "a huge id": '{"type":"ping","id":' + "9" * 400 + "}",
    "a long id": '{"type":"ping","id":"' + "x" * 65 + '"}',
    "NaN": '{"type":"event","event":"e","payload":NaN}',
    "Infinity": '{"type":"event","event":"e","payload":-Infinity}',
    "half a surrogate pair": rb'{"type":"event","event":"e","payload":"\ud800"}',
    "half a pair in a name": rb'{"type":"event","event":"\udc00"}',
    "a bad escape": rb'{"type":"event","event":"e","payload":"\q"}',
    "a bare line break": '{"type":"event","event":"e","payload":"a\nb"}',
    "a leading zero": '{"type":"event","event":"e","payload":01}',
    "a comma too many": '{"type":"event","event":"e","payload":[1,]}',
    "depth": '{"type":"event","event":"e","payload":' + "[" * 100_000 + "]" * 100_000 + "}",
    "depth in an unknown field": '{"type":"ping","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "depth from the start": "[" * 100_000,
    "depth behind an escape": rb'{"type":"ping","y":"\u0041","x":' + b"[" * 100_000,
    "bytes that are no text": b'{"type":"join","room":"\xff"}',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_refused_with_the_reason(text: str | bytes) -> None:
    error = refusal(text)
    assert type(error) is Malformed
    assert error.message.endswith(".")


@pytest.mark.parametrize("kind", ['"dance"', '""', '"Join"', "1", "null", "[]"])
def test_an_unknown_type_is_refused_by_name(kind: str) -> None:
    error = refusal('{"type":' + kind + ',"id":3}')
    assert type(error) is UnknownCommand
    assert error.id == 3


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(Malformed, match="text frames"):
        native.decode(b'{"type":"ping"}', binary=True)


@pytest.mark.parametrize(
    ("text", "command_id"),
    [
        ('{"type":"join","id":2}', 2),
        ('{"type":"join","room":1,"id":"two"}', "two"),
        ('{"id":7}', 7),
        ('{"type":"join","id":[]}', None),
        ('{"type":"join","id":3.5}', None),
        ('{"type":"join","id":2', None),
        ("[1]", None),
        (rb'{"type":"event","event":"e","payload":"\ud800","id":4}', None),
    ],
)
def test_a_refusal_carries_the_id_where_it_can_be_read(
    text: str | bytes, command_id: int | str | None
) -> None:
    assert refusal(text).id == command_id


# What the server says.

MESSAGES: list[tuple[Message, dict[str, Any]]] = [
    (
        Welcome(client="c7", user=None, ping=25, limits=Limits(message=65536, rooms=128)),
        {
            "type": "welcome",
            "client": "c7",
            "user": None,
            "ping": 25,
            "limits": {"message": 65536, "rooms": 128},
        },
    ),
    (
        Welcome(client="c7", user=User("ana", "Ana"), ping=25, limits=Limits(1, 2)),
        {
            "type": "welcome",
            "client": "c7",
            "user": {"id": "ana", "name": "Ana"},
            "ping": 25,
            "limits": {"message": 1, "rooms": 2},
        },
    ),
    (Reply(id=9), {"type": "reply", "id": 9}),
    (
        Reply(
            id=2,
            room="lobby",
            position=Position("e1", 41),
            presence={"Ana": [{"client": "c7"}]},
            count=1,
        ),
        {
            "type": "reply",
            "id": 2,
            "room": "lobby",
            "position": ["e1", 41],
            "presence": {"Ana": [{"client": "c7"}]},
            "count": 1,
        },
    ),
    (Reply(id=4, position=E1_42), {"type": "reply", "id": 4, "position": ["e1", 42]}),
    (Reply(id=5, payload=1), {"type": "reply", "id": 5, "payload": 1}),
    (Reply(id=5, payload=None), {"type": "reply", "id": 5, "payload": None}),
    (
        Reply(id=5, payload={"position": E1_42}),
        {"type": "reply", "id": 5, "payload": {"position": ["e1", 42]}},
    ),
    (
        Reply(id=1, user=User("Ana", "Ana")),
        {"type": "reply", "id": 1, "user": {"id": "Ana", "name": "Ana"}},
    ),
    (
        Publication(
            event="said",
            room="lobby",
            payload=Raw(b'{"text":"hi"}'),
            sender=Origin("c7", "ana"),
            position=E1_42,
        ),
        {
            "type": "event",
            "event": "said",
            "room": "lobby",
            "payload": {"text": "hi"},
            "from": {"client": "c7", "user": "ana"},
            "position": ["e1", 42],
        },
    ),
    (
        Publication(event="news", room="lobby", payload=Raw(b"null"), position=E1_42),
        {
            "type": "event",
            "event": "news",
            "room": "lobby",
            "payload": None,
            "position": ["e1", 42],
        },
    ),
    (
        Publication(event="e", room="r", payload=Raw(b"1"), sender=Origin("c7"), position=E1_42),
        {
            "type": "event",
            "event": "e",
            "room": "r",
            "payload": 1,
            "from": {"client": "c7"},
            "position": ["e1", 42],
        },
    ),
    (
        Push("hello", Raw(b'{"you":"c7"}')),
        {"type": "event", "event": "hello", "payload": {"you": "c7"}},
    ),
    (
        PresenceChange(
            room="lobby", joined={"Ana": [{"client": "c7"}]}, left={}, count=2, position=E1_42
        ),
        {
            "type": "presence",
            "room": "lobby",
            "joined": {"Ana": [{"client": "c7"}]},
            "left": {},
            "count": 2,
            "position": ["e1", 42],
        },
    ),
    (
        ErrorReply(id=4, code="not_member", message="Join first."),
        {"type": "error", "id": 4, "code": "not_member", "message": "Join first."},
    ),
    (
        ErrorReply(code="malformed", message="No."),
        {"type": "error", "code": "malformed", "message": "No."},
    ),
    (
        Dropped(room="ticker/1", count=17, position=Position("e1", 42)),
        {"type": "dropped", "room": "ticker/1", "count": 17, "position": ["e1", 42]},
    ),
    (
        Dropped(room="a", count=0, position=Position("e1", 2), presence=True),
        {"type": "dropped", "room": "a", "count": 0, "position": ["e1", 2], "presence": True},
    ),
    (PongReply(), {"type": "pong"}),
    (PongReply(id=7), {"type": "pong", "id": 7}),
]


@pytest.mark.parametrize(("message", "wire"), MESSAGES, ids=lambda value: type(value).__name__)
def test_a_message_is_one_text_frame_of_json(message: Message, wire: dict[str, Any]) -> None:
    payload = json.dumps(wire, separators=(",", ":"), ensure_ascii=False).encode()
    frame = native.encode(message)
    assert json.loads(frame[-len(payload) :]) == wire
    if "ping" not in wire:  # a number of seconds may be written 25 or 25.0
        assert frame == server_frame(payload)


def test_positions_of_one_epoch_are_ordered_by_offset() -> None:
    assert Position("e1", 9) < Position("e1", 10)


# Whatever comes.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
keys = st.sampled_from(["type", "id", "room", "event", "payload", "token", "name", "secret", "x"])
kinds = st.sampled_from(["auth", "join", "leave", "event", "presence", "ping", "pong", "dance"])
objects = st.dictionaries(keys, json_values, max_size=6).flatmap(
    lambda fields: kinds.map(lambda kind: {"type": kind, **fields})
)
JSON_TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b'"type"', b'"event"', b'"payload"', b"1"]
tokens = st.lists(
    st.sampled_from([*JSON_TOKENS, rb"\u", b"d800", b"\\", b"-", b"e9", b"\xff", b"\0", b" "])
).map(b"".join)


def only_a_command_or_a_refusal(payload: bytes) -> Command | None:
    try:
        return decode(payload)
    except RequestError:
        return None


@given(st.binary() | tokens | tokens.map(lambda some: b'{"type":"event","payload":' + some))
def test_any_bytes_are_a_command_or_refused(payload: bytes) -> None:
    only_a_command_or_a_refusal(payload)


@given(objects, st.booleans())
def test_any_json_is_a_command_or_refused(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    only_a_command_or_a_refusal(text.encode("utf-8", "surrogatepass"))


@given(tokens.filter(lambda some: some.isascii()) | json_values.map(json.dumps).map(str.encode))
def test_a_payload_that_is_let_through_can_be_read_by_everybody(payload: bytes) -> None:
    command = only_a_command_or_a_refusal(
        b'{"type":"event","event":"e","payload":' + payload + b"}"
    )
    if isinstance(command, SendEvent):
        value = json.loads(bytes(command.payload))
        json.dumps(value, ensure_ascii=False).encode()
        frame = native.encode(Push("e", command.payload))
        assert json.loads(frame[frame.index(b"{") :])["event"] == "e"
