"""What one client publishes travels together, and is answered in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from msgspec import Raw
from trio.testing import wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.brokers.base import Publishing
from rooms.brokers.memory import MemoryBroker
from rooms.errors import Unavailable
from rooms.protocol.commands import Origin, Position
from rooms.testing import TestClient, in_memory

Ctx = Context[Any]
ROOM = "lobby"


class Begun:
    """A publication that is done when the test says so."""

    def __init__(self, work: Callable[[], Position], landed: Callable[[], object]) -> None:
        self.done = False
        self.trouble: Unavailable | None = None
        self.given_up = False
        self._work = work
        self._landed = landed
        self._position: Position | None = None

    def land(self, trouble: Unavailable | None = None) -> None:
        """Publish, or fail."""
        self.done, self.trouble = True, trouble
        if trouble is None:
            self._position = self._work()
        self._landed()

    def position(self) -> Position:
        if self.trouble is not None:
            raise self.trouble
        assert self._position is not None
        return self._position

    def give_up(self) -> None:
        self.given_up = True


class BeginningBroker(MemoryBroker):
    """A memory broker that publishes when a test lets it."""

    begins = True

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Begun] = []

    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        raise trio.WouldBlock

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        await trio.lowlevel.checkpoint()
        return super().publish_nowait(room, event, payload, sender, key)

    def begin_publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None,
        key: str | None,
        landed: Callable[[], object],
    ) -> Publishing:
        work = partial(super().publish_nowait, room, event, payload, sender, key)
        begun = Begun(work, landed)
        self.begun.append(begun)
        return begun


@asynccontextmanager
async def member(app: App, **settings: Any) -> AsyncIterator[tuple[TestClient, BeginningBroker]]:
    """Run a server with one client in the room."""
    broker = BeginningBroker()
    async with in_memory(app, Settings(**settings), broker=broker) as server:
        client = await server.connect()
        await client.join(ROOM)
        yield client, broker


async def send(client: TestClient, *ids: int, **more: Any) -> None:
    """Publish without waiting for the answers, and wait until the server has seen it."""
    for number in ids:
        fields = {"event": "say", "room": ROOM, "payload": number, **more}
        await client.send(type="event", id=number, **fields)
    await wait_all_tasks_blocked()


async def answers(client: TestClient, count: int) -> list[int]:
    """Return to what the next answers are; publications are dropped."""
    found: list[int] = []
    while len(found) < count:
        message = await client.receive()
        if "id" in message:
            found.append(message["id"])
    return found


async def test_the_publications_of_one_client_are_under_way_together() -> None:
    async with member(App(relay=True)) as (client, broker):
        await send(client, 1, 2, 3)
        assert len(broker.begun) == 3
        for begun in broker.begun:
            begun.land()
        assert await answers(client, 3) == [1, 2, 3]


async def test_they_are_answered_in_order_whatever_is_done_first() -> None:
    async with member(App(relay=True)) as (client, broker):
        await send(client, 1, 2, 3)
        for begun in reversed(broker.begun):
            begun.land()
        assert await answers(client, 3) == [1, 2, 3]


async def test_one_that_fails_is_answered_in_its_turn_and_the_others_go_on() -> None:
    async with member(App(relay=True)) as (client, broker):
        await send(client, 1, 2)
        first, second = broker.begun
        second.land()
        first.land(Unavailable())
        error = await client.receive_type("error")
        assert (error["id"], error["code"], bool(error["retry_after"])) == (1, "unavailable", True)
        assert await answers(client, 1) == [2]


async def test_what_is_no_publication_comes_behind_them() -> None:
    app = App(relay=True)

    @app.on("plain")
    def plain(ctx: Ctx) -> str:
        return "done"

    async with member(app) as (client, broker):
        await send(client, 1)
        await client.send(type="ping", id=2)
        await send(client, 3, event="plain")
        await send(client, 4, room="elsewhere")  # where it is no member
        await client.send(type="leave", room=ROOM, id=5)
        await wait_all_tasks_blocked()
        broker.begun[0].land()
        assert await answers(client, 5) == [1, 2, 3, 4, 5]


async def test_what_waited_behind_something_else_is_begun_together_too() -> None:
    app, go = App(relay=True), trio.Event()

    @app.on("wait")
    async def wait(ctx: Ctx) -> None:
        await go.wait()

    async with member(app) as (client, broker):
        await send(client, 1, event="wait")
        await send(client, 2, 3)
        assert broker.begun == []
        go.set()
        await wait_all_tasks_blocked()
        assert len(broker.begun) == 2
        for begun in broker.begun:
            begun.land()
        assert await answers(client, 3) == [1, 2, 3]


async def test_no_more_are_under_way_than_may_wait() -> None:
    async with member(App(relay=True), inbox_messages=2) as (client, broker):
        await send(client, 1, 2, 3, 4)
        assert len(broker.begun) == 2
        for begun in broker.begun:
            begun.land()
        await wait_all_tasks_blocked()
        for begun in broker.begun[2:]:
            begun.land()
        assert await answers(client, 4) == [1, 2, 3, 4]


async def test_of_a_connection_that_is_lost_they_are_given_up() -> None:
    async with member(App(relay=True)) as (client, broker):
        await send(client, 1)
        await client.stream.aclose()
        await wait_all_tasks_blocked()
        assert broker.begun[0].given_up


async def test_a_client_that_says_goodbye_gets_its_answers_first() -> None:
    async with member(App(relay=True)) as (client, broker):
        await send(client, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.close)
            await wait_all_tasks_blocked()
            assert not broker.begun[0].given_up
            broker.begun[0].land()
