"""What the tests of brokers stand on: brokers that are open, and what they deliver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import trio
import trio.testing
from msgspec import Raw

from rooms.brokers.base import Broker, Retain
from rooms.core.history import Page, Retention
from rooms.errors import Unrecoverable
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

SECONDS = 10
"""What any single thing may take."""

KEPT = Retention(100, 3600)
"""What is kept of a room where a test says nothing else."""

T = TypeVar("T")


class BrokerNode:
    """One broker and what it has delivered, in order.

    Each call is made at once where the broker can.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.is_open = False
        self.delivered: list[Publication] = []
        self._changed = trio.Event()

    def deliver(self, publication: Publication) -> None:
        """Take a publication from the broker."""
        assert self.is_open, "deliver was called outside of the block"
        self.delivered.append(publication)
        self._changed.set()

    async def publish(
        self,
        room: str,
        event: str,
        payload: bytes = b"null",
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        """Publish."""
        return await _now_or_later(
            lambda: self.broker.publish_nowait(room, event, Raw(payload), sender, key),
            lambda: self.broker.publish(room, event, Raw(payload), sender, key),
        )

    async def publish_all(self, room: str, *events: str) -> list[Position]:
        """Publish one after the other."""
        return [await self.publish(room, event) for event in events]

    async def subscribe(self, room: str) -> Position:
        """Subscribe."""
        return await _now_or_later(
            lambda: self.broker.subscribe_nowait(room), lambda: self.broker.subscribe(room)
        )

    async def follow(self, rooms: str) -> None:
        """Follow the rooms that a filter names."""
        chosen = Filter(rooms)
        await _now_or_later(
            lambda: self.broker.follow_nowait(chosen), lambda: self.broker.follow(chosen)
        )

    async def history(
        self,
        room: str,
        limit: int = 100,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return a page."""
        return await _now_or_later(
            lambda: self.broker.history_nowait(room, limit, since, before, newest_first),
            lambda: self.broker.history(room, limit, since, before, newest_first),
        )

    async def refusal(
        self, room: str, since: Position | None = None, before: Position | None = None
    ) -> str:
        """Return the reason why a page cannot be had."""
        try:
            page = await self.history(room, since=since, before=before)
        except Unrecoverable as error:
            return error.reason
        raise AssertionError(f"{page} should have been refused")

    def events(self, room: str) -> list[str]:
        """Return the events of ``room`` that were delivered."""
        return [each.event for each in self.delivered if each.room == room]

    async def wait_for(self, room: str, event: str) -> Publication:
        """Wait until an event of that name has been delivered in ``room``."""
        with trio.fail_after(SECONDS):
            while True:
                for each in self.delivered:
                    if (each.room, each.event) == (room, event):
                        return each
                self._changed = trio.Event()
                await self._changed.wait()


def events_of(page: Page) -> list[str]:
    """Return the events of the publications in a page."""
    return [each.event for each in page.publications]


async def _now_or_later(now: Callable[[], T], later: Callable[[], Awaitable[T]]) -> T:
    with trio.fail_after(SECONDS):
        try:
            return now()
        except trio.WouldBlock:
            return await later()


class BrokerTests(ABC):
    """Opens the brokers that are tested."""

    @abstractmethod
    def make_brokers(self, nodes: int) -> Sequence[Broker]:
        """Return that many brokers that carry each other's publications, and nobody else's.

        A broker for a single process returns one, however many are asked for.
        """

    def retain(self, room: str) -> Retention:
        """Return how much of a room is kept where a test does not say it."""
        return KEPT

    async def pass_time(self, clock: trio.testing.MockClock, seconds: float) -> None:
        """Let time pass for the brokers; override it where theirs is not Trio's."""
        clock.jump(seconds)

    @asynccontextmanager
    async def opened(
        self, nodes: int = 1, retain: Retain | None = None
    ) -> AsyncIterator[list[BrokerNode]]:
        """Open brokers while the block runs."""
        made = [BrokerNode(broker) for broker in self.make_brokers(nodes)]
        async with AsyncExitStack() as stack:
            for node in made:
                node.is_open = True
                opening = node.broker.open(node.deliver, retain or self.retain)
                await stack.enter_async_context(opening)
            yield made
        for node in made:
            node.is_open = False
