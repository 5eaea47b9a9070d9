"""Whatever happens and in whatever order: who recovers has seen everything, once, in order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.protocol.topics import Filter
from rooms.testing import Closed, MemoryServer, TestClient, in_memory
from tests.server.chaos import Plan, run
from tests.server.rejoin import ROOM
from tests.server.slow_broker import SlowBroker

LIMIT = 30
"""The most publications that a recovery may take."""


async def test_who_is_cut_off_at_any_moment_and_comes_back_sees_everything_once() -> None:
    summary = await run(Plan(clients=40, publications=600))
    assert summary.publications > 600
    assert min(summary.cuts, summary.recoveries, summary.sent_again) > 50


class Visitor:
    """Somebody who joins, is lost and comes back, and notes what the room says meanwhile.

    Attributes:
        seen: The offsets since the last time that it had to begin anew.
    """

    def __init__(self, server: MemoryServer, published: Callable[[], int]) -> None:
        self._server = server
        self._published = published
        self._client: TestClient | None = None
        self.position: list[Any] | None = None
        self.seen: list[int] = []
        self.recovered = 0

    @property
    def here(self) -> bool:
        """Whether it is connected."""
        return self._client is not None

    async def come_or_go(self) -> None:
        """Ask to join, with what was seen last; or lose the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.stream.aclose()
            return
        self._client = client = await self._server.connect()
        self._server.nursery.start_soon(self._listen, client)
        await client.send(type="join", room=ROOM, since=self.position, id=1)

    async def _listen(self, client: TestClient) -> None:
        try:
            while True:
                self._take(await client.receive())
        except Closed:
            return

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            self._see(message["position"])
        elif message.get("id") == 1:
            self._begin(message)
        for each in message.get("missed", []):
            self._see(each["position"])
        if message.get("recovered"):
            self.recovered += 1
            assert message["more"] or self.position == message["position"]

    def _begin(self, reply: dict[str, Any]) -> None:
        if reply.get("recovered"):
            return
        if self.position is not None:
            assert self._published() - self.position[1] > LIMIT  # else there was no need
        self.position, self.seen = reply["position"], []

    def _see(self, position: list[Any]) -> None:
        assert self.position is not None
        assert position == [self.position[0], self.position[1] + 1]
        self.position = position
        self.seen.append(position[1])


class Schedule:
    """One room on a broker that does its work when the steps say so; their numbers are below 12."""

    def __init__(self, server: MemoryServer, broker: SlowBroker) -> None:
        self.broker = broker
        self.room = server.node.app.room(ROOM)
        self.visitors = [Visitor(server, lambda: self.published) for _ in range(3)]
        self.gates = [
            gate[call]
            for gate in (broker.asked, broker.answered)
            for call in ("subscribe", "history")
        ]
        self.published = 0

    async def do(self, step: tuple[str, int]) -> None:
        """Do one thing, and perhaps let everybody go as far as they can."""
        kind, number = step
        if kind == "publish":
            self.published += 1
            await self.room.publish("say")
        elif kind == "come or go":
            await self.visitors[number % 3].come_or_go()
        elif kind == "turn":
            gate = self.gates[number // 3]
            (gate.open if number % 3 else gate.close)()
        elif kind == "hold":
            self.broker.hold_deliveries()
        elif kind == "deliver":
            self.broker.deliver_held(number)
        else:
            await wait_all_tasks_blocked()

    async def settle(self) -> None:
        """Let everything happen that was held up."""
        for gate in self.gates:
            gate.open()
        self.broker.deliver_held()
        await wait_all_tasks_blocked()
        await self.room.publish("say", "last")
        await wait_all_tasks_blocked()


@asynccontextmanager
async def scheduled() -> AsyncIterator[Schedule]:
    app, broker = App(), SlowBroker()
    limits = Settings(history_messages=LIMIT, recovery_messages=LIMIT)
    async with in_memory(app, limits, broker) as server:
        await broker.follow(Filter("#"))  # so it delivers what the server has not asked for yet
        yield Schedule(server, broker)


KINDS = {"publish": 6, "come or go": 3, "turn": 6, "hold": 1, "deliver": 2, "wait": 6}
STEPS = 300


async def follow(steps: list[tuple[str, int]]) -> int:
    """Do the steps and return how often somebody recovered, once all is seen to be right."""
    async with scheduled() as schedule:
        for step in steps:
            await schedule.do(step)
        await schedule.settle()
        last = await schedule.room.publish("say", "after all")
        await wait_all_tasks_blocked()
        for visitor in schedule.visitors:
            if visitor.here:
                assert visitor.position == [last.epoch, last.offset]
        return sum(visitor.recovered for visitor in schedule.visitors)


def schedule_of(seed: int) -> list[tuple[str, int]]:
    """Return the same steps for the same seed."""
    luck = random.Random(seed)
    kinds = luck.choices(list(KINDS), list(KINDS.values()), k=STEPS)
    return [(kind, luck.randrange(12)) for kind in kinds]


def test_no_order_of_events_makes_a_gap_or_a_repeat() -> None:
    recovered = 0
    for seed in range(15):
        clock = MockClock(autojump_threshold=0)
        recovered += trio.run(follow, schedule_of(seed), clock=clock)
    assert recovered > 50
