"""`subscribe` and `unsubscribe`: the events of rooms that a filter names, without being there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.errors import Unavailable
from rooms.protocol.topics import Filter
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.brokers.bus import Bus, BusBroker
from tests.server.rejoin import ROOM, publish
from tests.server.slow_broker import SlowBroker

MakeBroker = Callable[[], Broker]


@pytest.fixture(params=[MemoryBroker, lambda: BusBroker(Bus())], ids=["at once", "over a bus"])
def make_broker(request: pytest.FixtureRequest) -> MakeBroker:
    return request.param  # type: ignore[no-any-return]  # what the line above gives


class CountingBroker(SlowBroker):
    """Counts which filters are followed."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: Counter[str] = Counter()

    async def follow(self, rooms: Filter) -> None:
        await super().follow(rooms)
        self.followed[rooms.text] += 1

    def unfollow(self, rooms: Filter) -> None:
        super().unfollow(rooms)
        self.followed[rooms.text] -= 1


async def watcher_of(server: MemoryServer, *filters: str) -> TestClient:
    """Return a client that has subscribed to filters."""
    client = await server.connect()
    for text in filters:
        assert (await client.request(type="subscribe", filter=text))["type"] == "reply"
    return client


async def heard(app: App, client: TestClient) -> list[tuple[str, Any]]:
    """Return the rooms and payloads of what a client that watches ``last`` is delivered."""
    await app.room("last").publish("say", "last")
    events = []
    while (event := await client.receive_type("event"))["payload"] != "last":
        events.append((event["room"], event["payload"]))
    return events


async def test_who_watches_a_filter_hears_its_rooms_and_no_others(make_broker: MakeBroker) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        watcher = await watcher_of(server, "news/+/alps", "sport/#", "last")
        named = ["news/snow/alps", "news//alps", "sport", "sport/ski", "sport/ski/jump"]
        others = ["news/alps", "news/snow/alps/1", "sports", "Sport", "/sport", "lobby"]
        for number, room in enumerate([*named, *others]):
            await app.room(room).publish("say", number)
        assert await heard(app, watcher) == [(room, number) for number, room in enumerate(named)]


async def test_an_event_is_the_same_for_members_and_for_who_watches(
    make_broker: MakeBroker,
) -> None:
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        watcher, member = await watcher_of(server, "#"), await server.connect()
        await member.join(ROOM)
        await publish(member, 1)
        event = await watcher.receive_type("event")
        assert event == await member.receive_type("event")
        assert (event["from"], event["position"][1]) == ({"client": member.id}, 1)


@pytest.mark.parametrize("member", [True, False])
async def test_it_comes_once_whatever_names_the_room(make_broker: MakeBroker, member: bool) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        watcher = await watcher_of(server, "#", "+", ROOM, "last")
        if member:
            await watcher.join(ROOM)
        for number in (1, 2):
            await app.room(ROOM).publish("say", number)
        assert await heard(app, watcher) == [(ROOM, 1), (ROOM, 2)]


async def test_who_leaves_a_room_still_hears_what_a_filter_names(make_broker: MakeBroker) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        watcher = await watcher_of(server, "#")
        await watcher.join(ROOM)
        await publish(watcher, 1)
        await watcher.request(type="leave", room=ROOM)
        await app.room(ROOM).publish("say", 2)
        assert await heard(app, watcher) == [(ROOM, 1), (ROOM, 2)]


async def test_after_unsubscribe_nothing_more_comes_unless_another_filter_names_it(
    make_broker: MakeBroker,
) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        watcher, other = (
            await watcher_of(server, "a/#", "+/b", "last"),
            await watcher_of(server, "#"),
        )
        assert await watcher.request(type="unsubscribe", filter="a/#") == {"type": "reply", "id": 4}
        for room in ("a", "a/b"):
            await app.room(room).publish("say", 1)
        assert await heard(app, watcher) == [("a/b", 1)]
        assert await heard(app, other) == [("a", 1), ("a/b", 1)]
        again = await watcher.request(type="unsubscribe", filter="a/#")
        assert again["type"] == "reply"  # there is nothing to undo, and no harm


async def test_to_subscribe_twice_is_to_subscribe_once(autojump_clock: MockClock) -> None:
    broker, app = CountingBroker(), App(relay=True)
    async with in_memory(app, Settings(filters_per_client=2), broker) as server:
        watcher = await watcher_of(server, "a", "a", "a", "last")
        await app.room("a").publish("say", 1)
        assert await heard(app, watcher) == [("a", 1)]
        await watcher.request(type="unsubscribe", filter="a")
        assert +broker.followed == Counter({"last": 1})


async def test_a_malformed_filter_is_refused_with_the_reason(make_broker: MakeBroker) -> None:
    bad = {"a/#/b": "last level", "a+": "whole level", "": "1 to 255", "a\0": "printable"}
    async with in_memory(App(relay=True), broker=make_broker()) as server:
        client = await server.connect()
        for text, complaint in bad.items():
            for command in ("subscribe", "unsubscribe"):
                error = await client.request(type=command, filter=text)
                assert error["code"] == "invalid_filter"
                assert complaint in error["message"]


async def test_a_connection_has_so_many_filters_only() -> None:
    async with in_memory(App(relay=True), Settings(filters_per_client=2)) as server:
        client, other = await watcher_of(server, "a", "b"), await watcher_of(server, "a")
        error = await client.request(type="subscribe", filter="c")
        assert (error["code"], "2 filters" in error["message"]) == ("limit_exceeded", True)
        assert (await client.request(type="subscribe", filter="a"))["type"] == "reply"
        await client.request(type="unsubscribe", filter="b")
        assert (await client.request(type="subscribe", filter="c"))["type"] == "reply"
        assert (await other.request(type="subscribe", filter="c"))["type"] == "reply"


async def test_a_filter_opens_no_room_and_asks_for_no_membership() -> None:
    app = App(relay=True)
    async with in_memory(app) as server:
        client = await watcher_of(server, "#")
        await app.room(ROOM).publish("say", 1)
        assert app.room_names == []
        assert (await client.event("say", ROOM))["code"] == "not_member"
        assert (await client.request(type="history", room=ROOM))["code"] == "not_member"


@pytest.mark.parametrize("clean", [True, False])
async def test_who_is_gone_watches_nothing(clean: bool, autojump_clock: MockClock) -> None:
    broker, app = CountingBroker(), App(relay=True)
    async with in_memory(app, broker=broker) as server:
        client, other = await watcher_of(server, "a/+", "#"), await watcher_of(server, "#")
        assert broker.followed == Counter({"#": 2, "a/+": 1})
        await (client.close() if clean else client.stream.aclose())
        await wait_all_tasks_blocked()
        assert +broker.followed == Counter({"#": 1})
        await app.room("a").publish("say", 1)
        assert (await other.receive_type("event"))["room"] == "a"
        await other.request(type="unsubscribe", filter="#")
        assert +broker.followed == Counter()


@pytest.mark.parametrize("lost", [True, False])
async def test_a_filter_that_the_broker_does_not_take_is_not_watched(
    lost: bool, autojump_clock: MockClock
) -> None:
    broker, app = CountingBroker(), App(relay=True)
    async with in_memory(app, Settings(filters_per_client=1), broker) as server:
        client = await server.connect()
        broker.asked["follow"].close()
        broker.asked["follow"].trouble = Unavailable()
        await client.send(type="subscribe", filter="a", id=1)
        await wait_all_tasks_blocked()
        if lost:
            await client.stream.aclose()
        else:
            broker.asked["follow"].open()
            assert (await client.receive_type("error"))["code"] == "unavailable"
        await wait_all_tasks_blocked()
        assert +broker.followed == Counter()


async def test_the_order_in_one_room_is_that_of_its_positions(make_broker: MakeBroker) -> None:
    app = App(relay=True)
    async with in_memory(app, broker=make_broker()) as server:
        watcher, member = await watcher_of(server, "#", "last"), await server.connect()
        await member.join(ROOM)
        await publish(member, 20)
        assert await heard(app, watcher) == [(ROOM, number) for number in range(1, 21)]
