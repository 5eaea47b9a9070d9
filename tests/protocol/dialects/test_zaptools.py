"""`rooms.protocol.dialects.zaptools`: the frames of its clients, as they were recorded."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from rooms.errors import InvalidName, Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import (
    Dropped,
    ErrorReply,
    Join,
    ListPresence,
    Message,
    Origin,
    PongReply,
    Position,
    Publication,
    Push,
    Reply,
)
from rooms.protocol.dialects.zaptools import Zaptools
from rooms.protocol.foreign import ForeignEvent
from rooms.testing.frames import take_frame

zaptools = Zaptools()
E1_42 = Position("e1", 42)

# Client 0.5.2 writes spaces and always all keys, 0.4.6 and Dart leave some out, Go says null.
HEARD: list[tuple[str, Any, Any]] = [
    ('{"eventName": "echo", "payload": {"a": 1}, "headers": {}}', {"a": 1}, {}),
    ('{"eventName": "echo", "payload": "text", "headers": {"x": "y"}}', "text", {"x": "y"}),
    ('{"eventName": "echo", "payload": [1, 2, null], "headers": {}}', [1, 2, None], {}),
    ('{"eventName":"echo","payload":"\\u00e9"}', "\u00e9", {}),
    ('{"eventName":"echo"}', None, {}),
    ('{"eventName":"echo","payload":1,"headers":[1]}', 1, {}),
    ('{"eventName":"echo","payload":1,"headers":null}', 1, {}),
    ('{"eventName":"echo","payload":1,"more":true}', 1, {}),
]


def said(message: Message) -> Any:
    taken = take_frame(bytearray(zaptools.encode(message)))
    return None if taken is None else json.loads(taken.payload)


@pytest.mark.parametrize(("text", "payload", "headers"), HEARD)
def test_events_of_all_clients_are_understood(text: str, payload: Any, headers: Any) -> None:
    event = zaptools.decode(text.encode(), False)
    assert isinstance(event, ForeignEvent)
    assert (event.event, event.room, event.outside) == ("echo", None, False)
    assert msgspec.json.decode(event.payload) == payload
    assert event.headers == headers


@pytest.mark.parametrize(
    "text", ["", "hi", "[1]", "{}", '{"eventName":1}', '{"eventName":null}', '"\\ud800"',
             '{"eventName":"e","headers":{"n":1e400}}', "[" * 5000,
             '{"eventName":"e","payload":"\\ud800"}']
)  # fmt: skip
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        zaptools.decode(text.encode(), False)


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(Malformed, match="text frames"):
        zaptools.decode(b'{"eventName":"echo"}', True)


def test_the_room_of_the_path_is_where_events_go() -> None:
    voice = zaptools.open({"room": "chat/1"})
    assert voice.first == (Join(room="chat/1"),)
    event = voice.decode(b'{"eventName":"say"}', False)
    assert isinstance(event, ForeignEvent)
    assert event.room == "chat/1"
    assert zaptools.open({}).first == ()
    with pytest.raises(InvalidName):
        zaptools.open({"room": "chat/#"})


def test_the_commands_of_the_native_protocol_are_events() -> None:
    text = '{"eventName":"rooms:join","payload":{"room":"a","since":["e1",42],"id":7,"type":"x"}}'
    join = Join(id="rooms:join", room="a", since=E1_42)
    assert zaptools.decode(text.encode(), False) == join
    presence = b'{"eventName":"rooms:presence","payload":{"room":"a"}}'
    assert zaptools.decode(presence, False) == ListPresence(id="rooms:presence", room="a")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"eventName":"rooms:dance"}', UnknownCommand),
        ('{"eventName":"rooms:join"}', Malformed),
        ('{"eventName":"rooms:join","payload":[1]}', Malformed),
        ('{"eventName":"rooms:join","payload":{"room":5}}', Malformed),
    ],
)
def test_a_command_that_is_none_is_refused(text: str, kind: type[RequestError]) -> None:
    with pytest.raises(kind):
        zaptools.decode(text.encode(), False)


SAID: list[tuple[Message, Any]] = [
    (Push("hello", Raw(b"null")), {"eventName": "hello", "payload": None, "headers": {}}),
    (
        Push("hello", Raw(b'{"id":"c1"}'), Raw(b'{"h":"1"}')),
        {"eventName": "hello", "payload": {"id": "c1"}, "headers": {"h": "1"}},
    ),
    (
        Publication(
            event="said",
            room="chat/1",
            payload=Raw(b'{"text":"hi"}'),
            sender=Origin("c7", "ana"),
            position=E1_42,
        ),
        {
            "eventName": "said",
            "payload": {"text": "hi"},
            "headers": {
                "room": "chat/1",
                "from": {"client": "c7", "user": "ana"},
                "position": ["e1", 42],
            },
        },
    ),
    (Reply(id="echo", payload=None), {"eventName": "echo", "payload": None, "headers": {}}),
    (Reply(id="say", position=E1_42), None),
    (
        Reply(id="rooms:presence", room="a", count=2),
        {"eventName": "rooms:presence", "payload": {"room": "a", "count": 2}, "headers": {}},
    ),
    (PongReply(id="rooms:ping"), {"eventName": "rooms:pong", "payload": {}, "headers": {}}),
    (
        Dropped(room="a", count=3, position=E1_42),
        {
            "eventName": "rooms:dropped",
            "payload": {"room": "a", "count": 3, "position": ["e1", 42]},
            "headers": {},
        },
    ),
    (
        ErrorReply(id="say", code="not_member", message="Join first."),
        {
            "eventName": "error",
            "payload": {"event": "say", "code": "not_member", "message": "Join first."},
            "headers": {},
        },
    ),
]


@pytest.mark.parametrize(("message", "frame"), SAID)
def test_what_is_said_has_always_all_three_keys(message: Message, frame: Any) -> None:
    assert said(message) == frame


@pytest.mark.parametrize("event", ["connected", "disconnected"])
def test_what_clients_fire_themselves_is_never_said(event: str) -> None:
    assert said(Push(event, Raw(b"{}"))) is None


@pytest.mark.parametrize(
    "message",
    [
        Publication(event="rooms:left", room="lobby", payload=Raw(b"{}"), position=E1_42),
        Push("rooms:left", Raw(b"{}")),
    ],
)
def test_nobody_speaks_for_the_server(message: Message) -> None:
    assert said(message) is None
