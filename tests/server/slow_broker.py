"""A broker that does nothing until a test lets it: every order of events can be had."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio
from msgspec import Raw

from rooms.brokers.base import Deliver, Lost, Retain, ignore_lost, retain_nothing
from rooms.brokers.memory import MemoryBroker
from rooms.core.history import Page
from rooms.errors import RequestError
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

T = TypeVar("T")


class Gate:
    """Lets calls through, or holds them until it is opened again.

    Attributes:
        waiting: How many are held.
        trouble: Raised for those that come through, if set.
    """

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.waiting = 0
        self.trouble: RequestError | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls go through."""
        return self._open.is_set()

    def close(self) -> None:
        """Hold whoever comes from now on."""
        if self.is_open:
            self._open = trio.Event()

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()

    async def through(self) -> None:
        """Wait until the gate is open."""
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1
        if self.trouble is not None:
            raise self.trouble


class SlowBroker(MemoryBroker):
    """A memory broker whose every call waits, and whose deliveries can be late.

    Attributes:
        asked: By the name of a call, a gate before its work.
        answered: By the name of a call, a gate behind its work.
        late: Publications that are delivered when the test says so; None if they are not held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = {call: Gate() for call in ("subscribe", "follow", "publish", "history")}
        self.answered = {call: Gate() for call in self.asked}
        self.late: deque[Publication] | None = None
        self._pass_on: Deliver

    @asynccontextmanager
    async def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AsyncIterator[None]:
        self._pass_on = deliver
        async with super().open(self._take, retain, lost):
            yield

    def hold_deliveries(self) -> None:
        """Deliver nothing until `deliver_held`."""
        if self.late is None:
            self.late = deque()

    def deliver_held(self, count: int = 1_000_000) -> None:
        """Deliver the first that were held; once all are, nothing is held any more."""
        while self.late and count:
            count -= 1
            self._pass_on(self.late.popleft())
        if not self.late:
            self.late = None

    def subscribe_nowait(self, room: str) -> Position:
        raise trio.WouldBlock

    def follow_nowait(self, rooms: Filter) -> None:
        raise trio.WouldBlock

    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        raise trio.WouldBlock

    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        raise trio.WouldBlock

    async def subscribe(self, room: str) -> Position:
        return await self._do("subscribe", partial(super().subscribe_nowait, room))

    async def follow(self, rooms: Filter) -> None:
        await self._do("follow", partial(super().follow_nowait, rooms))

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        work = partial(super().publish_nowait, room, event, payload, sender, key)
        return await self._do("publish", work)

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        work = partial(super().history_nowait, room, limit, since, before, newest_first)
        return await self._do("history", work)

    async def _do(self, call: str, work: Callable[[], T]) -> T:
        await self.asked[call].through()
        result = work()
        await self.answered[call].through()
        return result

    def _take(self, publication: Publication) -> None:
        if self.late is None:
            self._pass_on(publication)
        else:
            self.late.append(publication)
