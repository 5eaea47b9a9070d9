"""The `history` command and an application's own look at what was published."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rooms import App, Context, Settings
from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.errors import Unavailable
from rooms.protocol.commands import Position
from rooms.server.recovery import PAGE_MESSAGES
from rooms.testing import TestClient, in_memory
from tests.brokers.bus import Bus, BusBroker
from tests.server.rejoin import ROOM, numbers, publish
from tests.server.slow_broker import SlowBroker

MakeBroker = Callable[[], Broker]


@pytest.fixture(params=[MemoryBroker, lambda: BusBroker(Bus())], ids=["at once", "over a bus"])
def make_broker(request: pytest.FixtureRequest) -> MakeBroker:
    return request.param  # type: ignore[no-any-return]  # what the line above gives


async def ask(client: TestClient, **fields: Any) -> dict[str, Any]:
    return await client.request(type="history", room=ROOM, **fields)


def told(reply: dict[str, Any]) -> list[int]:
    """Return the numbers in a reply, whatever their order."""
    return [each["payload"] for each in reply["publications"]]


async def test_the_newest_come_first_unless_one_asks_for_what_came_after(
    make_broker: MakeBroker,
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client = await server.connect()
        start = (await client.join(ROOM))["position"]
        last = await publish(client, 4)
        for order, expected in ((None, [4, 3]), ("newest", [4, 3]), ("oldest", [1, 2])):
            reply = await ask(client, limit=2, order=order)
            assert (told(reply), reply["more"], reply["position"]) == (expected, True, last)
        assert told(await ask(client, since=start)) == [1, 2, 3, 4]
        assert told(await ask(client, since=start, order="newest")) == [4, 3, 2, 1]
        assert told(await ask(client, before=last)) == [3, 2, 1]
        assert told(await ask(client, before=last, order="oldest")) == [1, 2, 3]


async def test_an_entry_is_what_was_delivered(make_broker: MakeBroker) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client = await server.connect()
        await client.join(ROOM)
        await client.event("say", ROOM, {"text": "hi"})
        delivered = await client.receive_type("event")
        assert (await ask(client))["publications"] == [delivered]


async def test_pages_one_after_the_other_are_the_whole_history(make_broker: MakeBroker) -> None:
    settings = Settings(history_messages=250)
    async with in_memory(App(relay=True), settings, make_broker()) as server:
        client = await server.connect()
        start = (await client.join(ROOM))["position"]
        await publish(client, 250)
        back, forth = await ask(client, limit=1000), await ask(client, limit=70, since=start)
        older, newer = back["publications"], forth["publications"]
        assert (len(older), len(newer)) == (PAGE_MESSAGES, 70)
        while back["more"]:
            back = await ask(client, limit=1000, before=older[-1]["position"])
            older += back["publications"]
        while forth["more"]:
            forth = await ask(client, limit=70, since=newer[-1]["position"])
            newer += forth["publications"]
        assert older[::-1] == newer
        assert numbers(newer) == list(range(1, 251))


async def test_there_is_an_end_where_what_is_kept_ends(
    make_broker: MakeBroker, autojump_clock: MockClock
) -> None:
    settings = Settings(history_messages=3, history_seconds=60, ping_seconds=1000)
    async with in_memory(App(relay=True), settings, make_broker()) as server:
        client = await server.connect()
        start = (await client.join(ROOM))["position"]
        last = await publish(client, 5)
        reply = await ask(client)
        assert (told(reply), reply["more"]) == ([5, 4, 3], False)
        error = await ask(client, since=start)
        assert (error["code"], error["reason"]) == ("unrecoverable", "too_old")
        reply = await ask(client, before=[last[0], 3])
        assert (told(reply), reply["more"]) == ([], False)
        await trio.sleep(61)
        reply = await ask(client)
        assert (told(reply), reply["more"], reply["position"]) == ([], False, last)


async def test_a_position_of_another_life_is_refused(make_broker: MakeBroker) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client = await server.connect()
        await client.join(ROOM)
        epoch, offset = await publish(client, 1)
        for wrong in (["other", 1], [epoch, offset + 1], [epoch, -1]):
            for edge in ("since", "before"):
                error = await ask(client, **{edge: wrong})
                assert (error["code"], error["reason"]) == ("unrecoverable", "epoch_changed")


async def test_a_limit_out_of_its_range_is_malformed() -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        await client.join(ROOM)
        for fields in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"order": "best"}):
            assert (await ask(client, **fields))["code"] == "malformed"
        assert told(await ask(client, limit=1000)) == []


async def test_only_members_are_told(make_broker: MakeBroker) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client, other = await server.connect(), await server.connect()
        await client.join(ROOM)
        await publish(client, 1)
        assert (await ask(other))["code"] == "not_member"
        assert (await other.request(type="history", room="x/#"))["code"] == "not_member"


async def test_without_history_there_is_nothing_but_the_position(make_broker: MakeBroker) -> None:
    app = App(relay=True)
    app.rooms(ROOM, history=0)
    async with in_memory(app, broker=make_broker()) as server:
        client = await server.connect()
        await client.join(ROOM)
        last = await publish(client, 3)
        reply = await ask(client)
        assert (told(reply), reply["more"], reply["position"]) == ([], False, last)
        assert told(await ask(client, since=last)) == []
        assert (await ask(client, since=[last[0], 2]))["reason"] == "too_old"


async def test_an_empty_room_that_is_open_is_told_of_as_it_is(make_broker: MakeBroker) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client = await server.connect()
        position = (await client.join(ROOM))["position"]
        assert (await ask(client))["position"] == position
        assert (await ask(client, since=position))["publications"] == []
        assert (await ask(client))["position"] == position


async def test_without_an_id_nothing_is_answered() -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        await client.join(ROOM)
        await client.send(type="history", room=ROOM)
        await client.send(type="ping")
        assert (await client.receive())["type"] == "pong"


async def test_a_broker_that_cannot_tell_is_an_error_and_no_end() -> None:
    broker = SlowBroker()
    async with in_memory(App(relay=True), broker=broker) as server:
        client = await server.connect()
        await client.join(ROOM)
        broker.asked["history"].trouble = Unavailable()
        assert (await ask(client))["code"] == "unavailable"
        broker.asked["history"].trouble = None
        assert told(await ask(client)) == []


async def test_an_application_reads_any_room(make_broker: MakeBroker) -> None:
    app = App(relay=True)

    @app.on("recall")
    async def recall(ctx: Context[int]) -> list[Any]:
        page = await app.room(ROOM).history(ctx.payload)
        return [each.position.offset for each in page.publications]

    async with in_memory(app, broker=make_broker()) as server:
        client, other = await server.connect(), await server.connect()
        await client.join(ROOM)
        await publish(client, 3)
        assert (await other.event("recall", payload=2))["payload"] == [3, 2]
        page = await app.room(ROOM).history(newest_first=False)
        assert [bytes(each.payload) for each in page.publications] == [b"1", b"2", b"3"]
        first = page.publications[0].position
        between = await app.room(ROOM).history(since=first, before=page.position)
        assert [each.position for each in between.publications] == [Position(first.epoch, 2)]


async def test_what_was_published_where_nobody_is_is_kept_too(make_broker: MakeBroker) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        last = [await app.room(ROOM).publish("say", number) for number in (1, 2)][-1]
        client = await server.connect()
        assert (await client.join(ROOM))["position"] == [last.epoch, last.offset]
        assert told(await ask(client)) == [2, 1]


ROOMS, ENTRIES, ENTRY_BYTES = 100, 10, 128
KEPT_BYTES = 5 * 1024


async def test_an_idle_room_takes_little_memory(autojump_clock: MockClock) -> None:
    app = App(relay=True)
    async with in_memory(app) as server:
        client = await server.connect()
        await fill("first", client)
        tracemalloc.start()
        try:
            for number in range(ROOMS):
                await fill(f"room/{number}", client)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert app.room_names == []
        assert kept < ROOMS * KEPT_BYTES


async def fill(room: str, client: TestClient) -> None:
    """Have a client come, publish and go."""
    await client.send(type="join", room=room)
    for number in range(ENTRIES):
        payload = f"{number}" * (ENTRY_BYTES - 2)
        await client.send(type="event", event="say", room=room, payload=payload)
    await client.request(type="leave", room=room)
    client.kept_events()
