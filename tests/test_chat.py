"""The built-in chat."""

from __future__ import annotations

from rooms.chat import LISTED_ROOMS, chat_app
from rooms.testing import in_memory


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
