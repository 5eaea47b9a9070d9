"""`rooms.protocol.dialects.tranzit`: ``name|arg1,arg2``, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rooms.errors import Malformed
from rooms.protocol.commands import ErrorReply, Join, Message, Push, Reply
from rooms.protocol.dialects.tranzit import Tranzit
from rooms.protocol.foreign import ForeignEvent
from rooms.testing.frames import take_frame

tranzit = Tranzit()


def said(message: Message) -> str | None:
    taken = take_frame(bytearray(tranzit.encode(message)))
    return None if taken is None else taken.payload.decode()


def heard(text: str) -> tuple[str, Any]:
    event = tranzit.decode(text.encode(), False)
    assert isinstance(event, ForeignEvent)
    return event.event, json.loads(bytes(event.payload))


@pytest.mark.parametrize(
    ("text", "name", "payload"),
    [
        ("get_hello|", "get_hello", [""]),
        ("get_page|http://127.0.0.1/,", "get_page", ["http://127.0.0.1/", ""]),
        ("add|a, b", "add", ["a", " b"]),
        ("add|1,2|dropped", "add", ["1", "2"]),
        ("unicode|é", "unicode", ["é"]),
        ('say|{"text":"a|b, c"}', "say", {"text": "a|b, c"}),
        ("say|[1,[2]]", "say", [1, [2]]),
        ("say|[x", "say", ["[x"]),
        ("say|{a},b", "say", ["{a}", "b"]),
        ("|x", "", ["x"]),
    ],
)
def test_arguments_are_a_list_of_texts(text: str, name: str, payload: Any) -> None:
    assert heard(text) == (name, payload)


@pytest.mark.parametrize(("payload", "binary"), [(b"nopipe", False), (b"a|b", True), (b"", False)])
def test_what_is_malformed_is_refused(payload: bytes, binary: bool) -> None:
    with pytest.raises(Malformed) as caught:
        tranzit.decode(payload, binary)
    assert not {"|", ","} & set(str(caught.value))  # neither can be said


def test_the_room_of_the_path_is_where_events_go() -> None:
    voice = tranzit.open({"room": "chat/1"})
    assert voice.first == (Join(room="chat/1"),)
    event = voice.decode(b"say|hi", False)
    assert isinstance(event, ForeignEvent)
    assert event.room == "chat/1"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'["HELLO!"]', "get|HELLO!"),
        (b'"HELLO!"', "get|HELLO!"),
        (b'["a"," b",""]', "get|a, b,"),
        ('["é"]'.encode(), "get|é"),
        (b'[""]', "get|"),
        (b"5", "get|5"),
        (b"null", "get|null"),
        (b"[]", "get|[]"),
        (b'{"text":"a|b, c"}', 'get|{"text":"a\\u007cb, c"}'),
        (b'["a,b"]', 'get|["a,b"]'),
        (b'["{"]', 'get|["{"]'),
    ],
)
def test_a_payload_is_arguments_where_that_is_no_loss(payload: bytes, text: str) -> None:
    assert said(Push("get", Raw(payload))) == text


def test_an_answer_has_the_name_of_its_event() -> None:
    assert said(Reply(id="get_hello", payload="HELLO!")) == "get_hello|HELLO!"
    assert said(Reply(id="get_hello")) is None


def test_an_error_says_of_what_it_is_in_three_arguments() -> None:
    error = ErrorReply(id="nosuch", code="unknown_event", message="Nothing, or | so.")
    assert said(error) == "error|nosuch,unknown_event,Nothing; or / so."
    assert said(ErrorReply(code="malformed", message="No.")) == "error|,malformed,No."


def test_a_name_that_has_a_bar_in_it_cannot_be_said() -> None:
    assert said(Push("a|b", Raw(b"1"))) is None


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(texts, min_size=1) | st.lists(payloads) | st.dictionaries(texts, payloads))
def test_lists_and_objects_come_back_as_they_were(payload: Any) -> None:
    text = said(Push("e", Raw(json.dumps(payload).encode())))
    assert text is not None
    assert heard(text) == ("e", payload)
