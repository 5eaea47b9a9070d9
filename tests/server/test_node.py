"""`rooms.server.node`: opening a room that the broker must be told of first."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.errors import RoomsError, Unavailable
from rooms.protocol.topics import Filter
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.server.rejoin import ROOM, events_up_to, publish
from tests.server.slow_broker import SlowBroker


class Opening:
    """An application whose broker lets a test decide when a room is open."""

    def __init__(self, server: MemoryServer, app: App, broker: SlowBroker) -> None:
        self.server = server
        self.app = app
        self.gate = broker.asked["subscribe"]
        self.broker = broker

    async def joining(self, clients: int = 1) -> list[TestClient]:
        """Return clients that have asked to join the room and wait."""
        found = [await self.server.connect() for _ in range(clients)]
        for client in found:
            await client.send(type="join", room=ROOM, id=1)
            await wait_all_tasks_blocked()
        return found


async def joined(client: TestClient) -> dict[str, Any]:
    """Wait for the reply to a join."""
    while (message := await client.receive()).get("id") != 1:
        pass
    assert message["type"] == "reply", message
    return message


@pytest.fixture
async def opening(autojump_clock: MockClock) -> Any:
    app, broker = App(relay=True), SlowBroker()
    async with in_memory(app, broker=broker) as server:
        yield Opening(server, app, broker)


async def test_a_room_that_two_open_at_once_is_opened_once(opening: Opening) -> None:
    opening.gate.close()
    ana, bob = await opening.joining(2)
    assert opening.gate.waiting == 1
    opening.gate.open()
    assert (await joined(ana))["position"] == (await joined(bob))["position"]
    await publish(ana, 2)
    assert await events_up_to(bob, 2) == [1, 2]
    assert len(opening.app.room(ROOM).members) == 2


async def test_who_waits_opens_the_room_when_the_opener_is_lost(opening: Opening) -> None:
    opening.gate.close()
    ana, bob, eve = await opening.joining(3)
    await ana.stream.aclose()
    await wait_all_tasks_blocked()
    assert opening.gate.waiting == 1
    opening.gate.open()
    await joined(bob)
    await joined(eve)
    await publish(bob, 1)
    assert await events_up_to(eve, 1) == [1]


async def test_a_room_that_was_emptied_meanwhile_is_opened_anew(opening: Opening) -> None:
    opening.gate.close()
    ana, bob = await opening.joining(2)
    await ana.send(type="leave", room=ROOM, id=2)
    opening.gate.open()
    await joined(ana)
    await joined(bob)
    assert len(opening.app.room(ROOM).members) == 1
    await publish(bob, 2)
    assert await events_up_to(bob, 2) == [1, 2]


async def test_a_room_that_cannot_be_opened_is_no_room(opening: Opening) -> None:
    opening.gate.close()
    opening.gate.trouble = Unavailable("The bus is away.")
    clients = await opening.joining(2)
    opening.gate.open()
    for client in clients:
        error = await client.receive_type("error")
        assert (error["id"], error["code"]) == (1, "unavailable")
        assert error["message"] == "The bus is away."
    assert opening.app.room_names == []
    opening.gate.trouble = None
    assert (await clients[0].join(ROOM))["count"] == 1


@pytest.mark.parametrize("lost", [True, False])
async def test_a_room_that_was_heard_of_before_it_could_be_opened_is_no_room(
    opening: Opening, lost: bool
) -> None:
    watcher = await opening.server.connect()
    await watcher.request(type="subscribe", filter="#")
    opening.gate.close()
    [ana] = await opening.joining()
    await opening.app.room(ROOM).publish("say", 1)
    if lost:
        await ana.stream.aclose()
    else:
        opening.gate.trouble = Unavailable()
        opening.gate.open()
    await wait_all_tasks_blocked()
    assert opening.app.room_names == []
    assert await events_up_to(watcher, 1) == [1]
    opening.gate.trouble = None
    opening.gate.open()
    bob = await opening.server.connect()
    assert (await bob.join(ROOM))["position"][1] == 1
    await publish(bob, 1, first=2)
    assert await events_up_to(bob, 2) == [2]


async def test_what_is_published_while_a_room_is_opened_is_before_or_behind_it(
    opening: Opening,
) -> None:
    opening.broker.answered["subscribe"].close()
    [ana] = await opening.joining()
    for number in (1, 2):
        await opening.app.room(ROOM).publish("say", number)
    opening.broker.answered["subscribe"].open()
    assert (await joined(ana))["position"][1] == 2
    await publish(ana, 1, first=3)
    assert await events_up_to(ana, 3) == [3]


async def test_a_room_with_a_listener_only_is_opened_once(autojump_clock: MockClock) -> None:
    app = App(relay=True)
    async with in_memory(app, Settings(history_messages=0)) as server:
        client = await server.connect()
        async with app.room(ROOM).subscribe() as events:
            await client.join(ROOM)
            position = (await client.event("say", ROOM, 1))["position"]
            heard = await events.receive()
            assert [heard.position.epoch, heard.position.offset] == position


class LastMoment(SlowBroker):
    """Opens rooms in the very moment in which a connection's filters are forgotten."""

    def unfollow(self, rooms: Filter) -> None:
        super().unfollow(rooms)
        self.answered["subscribe"].open()


async def test_who_is_gone_when_the_room_opens_is_no_member(autojump_clock: MockClock) -> None:
    app, broker = App(), LastMoment()

    @app.on("take me in")
    def take_in(ctx: Context[Any]) -> None:
        ctx.start_soon(ctx.client.join, ROOM)

    async with in_memory(app, broker=broker) as server:
        broker.answered["subscribe"].close()
        client = await server.connect()
        await client.request(type="subscribe", filter="a")
        await client.event("take me in")
        await wait_all_tasks_blocked()
        assert app.room_names == [ROOM]
        await client.stream.aclose()
        await wait_all_tasks_blocked()
        assert app.room_names == []
        assert app.clients == {}


async def test_who_has_gone_cannot_be_made_a_member(autojump_clock: MockClock) -> None:
    app = App()

    @app.on("disconnected")
    async def take_in(ctx: Context[Any]) -> None:
        with pytest.raises(RoomsError, match="has ended"):
            await ctx.client.join(ROOM)
        tried.set()

    tried = trio.Event()
    async with in_memory(app) as server:
        await (await server.connect()).stream.aclose()
        await tried.wait()
        assert app.room_names == []
