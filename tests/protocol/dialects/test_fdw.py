"""`rooms.protocol.dialects.fdw`: types, topics and ids, as they were recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rooms.errors import InvalidName, Malformed, RequestError, UnknownCommand
from rooms.protocol.commands import (
    ErrorReply,
    Join,
    Leave,
    Message,
    Push,
    Subscribe,
    Unsubscribe,
)
from rooms.protocol.dialects.fdw import RECEIVERS, Fdw
from rooms.protocol.foreign import ForeignEvent, Tell
from rooms.testing.frames import take_frame

fdw = Fdw()


def decode(**fields: Any) -> Any:
    return fdw.decode(json.dumps(fields).encode(), False)


def said(message: Message) -> Any:
    taken = take_frame(bytearray(fdw.encode(message)))
    return None if taken is None else json.loads(taken.payload)


def test_to_subscribe_is_to_be_in_a_room_or_to_follow_a_filter() -> None:
    assert decode(type="subscribe", topic="room/1") == Join(room="room/1")
    assert decode(type="subscribe", topic="news") == Join(room="news")
    assert decode(type="subscribe", topic="room/+") == Subscribe(filter="room/+")
    assert decode(type="subscribe", topic="#") == Subscribe(filter="#")
    assert decode(type="unsubscribe", topic="room/1") == Leave(room="room/1")
    assert decode(type="unsubscribe", topic="room/#") == Unsubscribe(filter="room/#")


@pytest.mark.parametrize(
    ("fields", "room"),
    [
        ({"type": "send", "topic": "room/1", "msg": "x", "n": 1}, "room/1"),
        ({"type": "broadcast", "msg": "x", "n": 1}, "broadcast"),
        ({"type": "broadcast", "topic": "t/1", "conn_id": "z", "msg": "x", "n": 1}, "broadcast"),
    ],
)
def test_what_is_published_is_what_is_left_without_the_tags(fields: Any, room: str) -> None:
    event = decode(**fields)
    assert isinstance(event, ForeignEvent)
    assert (event.event, event.room, event.outside, event.id) == ("message", room, True, None)
    assert json.loads(bytes(event.payload)) == {"msg": "x", "n": 1}


@pytest.mark.parametrize(("ids", "names"), [("b", ("b",)), (["b", "c", "b"], ("b", "c")), ([], ())])
def test_some_connections_are_told_by_id(ids: Any, names: tuple[str, ...]) -> None:
    told = decode(type="send_by_conn_id", conn_id=ids, msg="x")
    assert isinstance(told, Tell)
    assert (told.names, bytes(told.payload)) == (names, b'{"msg":"x"}')


def test_connect_is_allowed_and_does_nothing() -> None:
    assert decode(type="connect", msg="x") == ()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "publish", "topic": "a"}, UnknownCommand),
        ({"type": "set_conn_id", "conn_id": "new"}, UnknownCommand),
        ({"type": "shutdown"}, UnknownCommand),
        ({}, Malformed),
        ({"type": 5}, Malformed),
        ({"type": "send", "msg": "x"}, Malformed),
        ({"type": "send", "topic": None}, Malformed),
        ({"type": "subscribe"}, Malformed),
        ({"type": "send_by_conn_id", "msg": "x"}, Malformed),
        ({"type": "send_by_conn_id", "conn_id": [1]}, Malformed),
        ({"type": "send_by_conn_id", "conn_id": [str(n) for n in range(RECEIVERS + 1)]}, Malformed),
    ],
)
def test_what_is_malformed_is_refused(fields: Any, kind: type[RequestError]) -> None:
    with pytest.raises(kind):
        decode(**fields)


@pytest.mark.parametrize(
    "text", ["", "hi", "[1]", "1", "[" * 5000, '{"type":"send","x":"\\ud800"}']
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        fdw.decode(text.encode(), False)


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(Malformed, match="text frames"):
        fdw.decode(b'{"type":"broadcast"}', True)


def test_the_id_in_the_path_is_the_connections_name_and_it_hears_broadcasts() -> None:
    voice = fdw.open({"conn_id": "ana"})
    assert (voice.name, voice.first) == ("ana", (Join(room="broadcast"),))
    with pytest.raises(InvalidName):
        fdw.open({"conn_id": "a\nb"})


def test_events_without_a_name_arrive_flat_and_others_with_it() -> None:
    assert said(Push("message", Raw(b'{"msg": "hi"}'))) == {"msg": "hi"}
    assert said(Push("said", Raw(b'{"text":"hi"}'))) == {
        "event": "said",
        "payload": {"text": "hi"},
    }
    assert said(Push("message", Raw(b"5"))) == {"event": "message", "payload": 5}


def test_errors_are_flat_and_without_an_address_in_memory() -> None:
    error = ErrorReply(code="invalid_filter", message="In 'a#', a wildcard must fill its level.")
    assert said(error) == {"error": "In 'a#', a wildcard must fill its level."}


def test_to_ask_for_what_is_so_already_is_answered_by_nothing() -> None:
    assert said(ErrorReply(code="already_joined", message="…")) is None
    assert said(ErrorReply(code="not_member", message="…")) is None


names = st.sampled_from(["event", "payload", "msg", "\u017e"])
values = st.none() | st.integers(0, 9) | st.sampled_from(["said", "error", "message", "\\u0065"])
objects = st.dictionaries(
    names, values | st.dictionaries(names, values, max_size=3) | st.just("said"), max_size=3
)


@given(objects)
def test_what_one_client_sends_another_gets_as_it_was(data: dict[str, Any]) -> None:
    event = decode(type="broadcast", **data)
    assert said(Push(event.event, event.payload)) == data


@given(st.sampled_from(["message", "said"]), objects | values)
def test_an_event_that_is_passed_on_is_the_same_event(name: str, payload: Any) -> None:
    frame = said(Push(name, Raw(json.dumps(payload).encode())))
    event = decode(type="broadcast", **frame)
    assert (event.event, json.loads(bytes(event.payload))) == (name, payload)
