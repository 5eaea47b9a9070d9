"""`rooms.server.handlers`: which function handles which event."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from rooms.errors import InvalidFilter, InvalidPayload
from rooms.server.context import Context, Event
from rooms.server.handlers import Handler, Handlers, make_handler


class Say(Event):
    text: str


class Even(Event):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("an odd number")


async def untyped(ctx: Context[Any]) -> None: ...
async def unannotated(ctx):  # type: ignore[no-untyped-def]  # as somebody in a hurry writes it
    return ctx


async def bare(ctx: Context) -> None: ...  # type: ignore[type-arg]  # as somebody in a hurry writes it
async def typed(ctx: Context[Say]) -> None: ...
async def checked(ctx: Context[Even]) -> None: ...
async def listed(ctx: Context[list[int]]) -> None: ...
async def raw(ctx: Context[Raw]) -> None: ...
def plain(ctx: Context[Any]) -> None: ...


def decoded(function: Any, payload: bytes) -> Any:
    return make_handler("e", function, None).decode(Raw(payload))


def handler(event: str, room: str | None = None) -> Handler:
    return make_handler(event, untyped, room)


# Payloads.


@pytest.mark.parametrize("function", [untyped, unannotated, bare, lambda ctx: None])
def test_without_a_type_a_payload_is_whatever_the_json_says(function: Any) -> None:
    assert decoded(function, b'{"a":[1,null]}') == {"a": [1, None]}


def test_a_payload_is_made_what_the_function_asks_for() -> None:
    assert decoded(typed, b'{"text":"hi","more":1}') == Say("hi")
    assert decoded(listed, b"[1,2]") == [1, 2]


def test_a_raw_payload_is_not_looked_at() -> None:
    assert bytes(decoded(raw, b'{"b" : 1}')) == b'{"b" : 1}'


@pytest.mark.parametrize(
    ("function", "payload", "complaint"),
    [
        (typed, b"{}", "missing required field `text`"),
        (typed, b'{"text":1}', "Expected `str`"),
        (typed, b"null", "Expected `object`"),
        (listed, b'[1,"2"]', r"at `\$\[1\]`"),
        (checked, b'{"number":3}', "an odd number"),
        (untyped, b"1e999", "out of range"),
        (untyped, b"9" * 5000, "out of range"),
        (untyped, b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_the_reason(
    function: Any, payload: bytes, complaint: str
) -> None:
    with pytest.raises(InvalidPayload, match=complaint):
        decoded(function, payload)


# Functions.


def test_an_asynchronous_function_waits_and_a_plain_one_does_not() -> None:
    assert make_handler("e", untyped, None).waits
    assert not make_handler("e", plain, None).waits


def test_a_function_without_a_parameter_is_refused_where_it_is_registered() -> None:
    with pytest.raises(TypeError, match="handles 'e', so it must take a context"):
        make_handler("e", lambda: None, None)


def test_a_type_that_cannot_be_decoded_is_refused_where_it_is_registered() -> None:
    def wants_the_impossible(ctx: Context[list[int] | set[int]]) -> None: ...

    with pytest.raises(TypeError, match="more than one array-like"):
        make_handler("e", wants_the_impossible, None)


def test_a_bad_filter_is_refused_where_it_is_registered() -> None:
    with pytest.raises(InvalidFilter):
        make_handler("e", untyped, "a/#/b")


# Rooms.


def test_without_a_filter_events_to_any_room_and_to_the_server_are_taken() -> None:
    assert handler("say").takes("lobby")
    assert handler("say").takes(None)


def test_with_a_filter_only_events_to_such_rooms_are_taken() -> None:
    chats = handler("say", "chat/+")
    assert chats.takes("chat/1")
    assert not chats.takes("lobby")
    assert not chats.takes(None)


def test_the_handler_of_an_event_is_found_by_its_room() -> None:
    handlers, chats, games = Handlers(), handler("say", "chat/+"), handler("say", "game/#")
    for each in (chats, games):
        handlers.add(each)
    assert handlers.find("say", "chat/1") is chats
    assert handlers.find("say", "game/1/2") is games
    assert handlers.find("say", "lobby") is None
    assert handlers.find("say", None) is None
    assert handlers.find("shout", "chat/1") is None


def test_all_handlers_can_be_walked_through() -> None:
    handlers = Handlers()
    made = [handler("a"), handler("b", "x"), handler("b", "y")]
    for each in made:
        handlers.add(each)
    assert list(handlers) == made


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, None), (None, "chat/+"), ("chat/+", None), ("chat/+", "chat/1"), ("#", "a/b")],
)
def test_two_handlers_for_one_event_are_a_mistake(one: str | None, other: str | None) -> None:
    handlers = Handlers()
    handlers.add(handler("say", one))
    with pytest.raises(ValueError, match=r"'say' has two handlers: .*untyped and .*untyped"):
        handlers.add(handler("say", other))


@pytest.mark.parametrize(("one", "other"), [("chat/+", "game/+"), ("a", "b"), ("a/+", "a")])
def test_handlers_for_rooms_that_differ_are_none(one: str, other: str) -> None:
    handlers = Handlers()
    handlers.add(handler("say", one))
    handlers.add(handler("say", other))


def test_handlers_for_different_events_never_overlap() -> None:
    assert not handler("a").overlaps(handler("b"))


def test_a_renamed_handler_is_the_same_for_another_event() -> None:
    renamed = make_handler("say", typed, "chat/+").renamed("v2.say")
    assert renamed.event == "v2.say"
    assert renamed.function is typed
    assert renamed.takes("chat/1")
