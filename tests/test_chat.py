"""The built-in chat."""

from __future__ import annotations

from rooms import User
from rooms.chat import KEPT_MESSAGES, KEPT_SECONDS, LISTED_ROOMS, chat_app
from rooms.config import Settings
from rooms.core.grants import parse_grants
from rooms.core.history import Retention
from rooms.testing import in_memory
from tests.server.signing import Tokens, bearer


async def test_the_list_of_rooms_shows_the_fullest_first_and_not_without_end() -> None:
    async with in_memory(chat_app()) as server:
        clients = [await server.connect() for _ in range(3)]
        for number in range(LISTED_ROOMS):
            await clients[0].join(f"room {number:03}")
        await clients[1].join("lobby")
        await clients[2].join("lobby")
        listed = (await clients[0].event("rooms"))["payload"]
        assert len(listed) == LISTED_ROOMS
        assert listed[0] == {"room": "lobby", "count": 2}
        assert listed[1] == {"room": "room 000", "count": 1}


async def test_what_people_say_is_relayed_under_the_name_that_they_chose() -> None:
    async with in_memory(chat_app()) as server:
        ana, bob = await server.connect(), await server.connect()
        await ana.request(type="auth", name="Ana", secret="a")
        for client in (ana, bob):
            await client.join("lobby")
        await ana.event("say", "lobby", {"text": "<b>hi</b>"})
        said = await bob.receive_type("event")
        assert said["payload"] == {"text": "<b>hi</b>"}
        assert said["from"] == {"client": ana.id, "user": "Ana"}


async def test_an_echo_comes_back_as_it_went() -> None:
    async with in_memory(chat_app()) as server:
        client = await server.connect()
        for payload in (None, 1, "ü", {"a": [1.5, {}]}):
            assert (await client.event("echo", payload=payload))["payload"] == payload


async def test_two_chats_share_nothing() -> None:
    first, second = chat_app(), chat_app()
    async with in_memory(first) as one, in_memory(second) as two:
        await (await one.connect()).join("lobby")
        assert (await (await two.connect()).event("rooms"))["payload"] == []


def test_what_was_said_can_be_read_a_day_long_and_who_typed_cannot() -> None:
    options = chat_app().options
    assert options.retention("garden/club", Settings()) == Retention(KEPT_MESSAGES, KEPT_SECONDS)
    assert options.retention("typing/lobby", Settings()).messages == 0


async def test_who_types_is_told_to_those_who_look_and_is_not_kept() -> None:
    async with in_memory(chat_app()) as server:
        ana, bob, guest = [await server.connect() for _ in range(3)]
        await ana.request(type="auth", name="Ana", secret="a")
        await ana.join("lobby")
        await guest.join("lobby")
        await bob.request(type="subscribe", filter="typing/lobby")
        for typist in (ana, guest):
            await typist.event("typing", "lobby", {})
        typists = [await bob.receive_event("typing") for _ in range(2)]
        assert typists == [{"user": "Ana"}, {"user": guest.id}]
        page = await ana.request(type="history", room="lobby")
        assert page["publications"] == []


async def test_the_list_shows_only_rooms_that_the_client_may_join() -> None:
    app = chat_app()
    app.authorize("join", room="team/+")(lambda access: access.room == "team/1")
    async with in_memory(app) as server:
        client, other = await server.connect(), await server.connect()
        for room in ("team/1", "team/2", "lobby"):
            await app.clients[other.id].join(room)
        listed = (await client.event("rooms"))["payload"]
        assert [each["room"] for each in listed] == ["lobby", "team/1"]


async def test_others_see_the_name_of_who_signed_in_and_know_them_by_their_id() -> None:
    tokens = Tokens()
    tokens.add("t1", User("u17", "Ana"))
    async with in_memory(chat_app(auth=tokens)) as server:
        client = await server.connect(headers=bearer("t1"))
        reply = await client.join("lobby")
        entry = {"client": client.id, "details": {"name": "Ana"}}
        assert reply["presence"] == {"u17": [entry]}


async def test_rooms_that_a_token_names_are_listed_also_when_they_are_empty() -> None:
    tokens = Tokens()
    granted = parse_grants({"team/1": ["join"], "team/2": ["publish"], "club/+": ["join"]})
    tokens.add("t1", grants=granted)
    async with in_memory(chat_app(auth=tokens)) as server:
        client = await server.connect(headers=bearer("t1"))
        assert (await client.event("rooms"))["payload"] == [{"room": "team/1", "count": 0}]
