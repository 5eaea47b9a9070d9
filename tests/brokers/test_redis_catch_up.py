"""Rooms that have missed something are caught up with, one reader each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import trio
from msgspec import Raw
from trio.testing import wait_all_tasks_blocked

from rooms.brokers.redis_catch_up import CatchUp
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_messages import Arrived, encode
from rooms.brokers.redis_pages import Entry, Found, Pages
from rooms.brokers.redis_rooms import Heard
from rooms.brokers.redis_url import parse_redis_url
from rooms.protocol.commands import Position

ROOM = "lobby"
EPOCH = "e1"


def body(offset: int) -> bytes:
    """Return the publication at an offset as it is sent."""
    return encode(ROOM, "say", Raw(str(offset).encode()), None)


class Stream:
    """A room's stream that answers when the test says so.

    Attributes:
        last: The offset of what was published last.
        asked: How many answers are waited for.
    """

    def __init__(self) -> None:
        self.last = 0
        self.asked = 0
        self._gate = trio.Event()

    def answer(self) -> None:
        """Answer all who wait, with what there was when they asked."""
        self._gate.set()
        self._gate = trio.Event()

    async def find(self, room: str, limit: int, since: int | None = None) -> Found:
        """Return what came after ``since``."""
        last = self.last
        self.asked += 1
        await self._gate.wait()
        self.asked -= 1
        first = last if since is None else since
        entries = [Entry(at, b"1", body(at)) for at in range(first + 1, last + 1)]
        return Found(Position(EPOCH, last), b"", 1, entries)


async def test_a_gap_that_opens_while_a_room_is_read_is_read_by_the_same_reader() -> None:
    stream, delivered = Stream(), list[int]()
    engine = Engine(parse_redis_url("redis://127.0.0.1"), 1.0)
    catch_up = CatchUp(engine, cast(Pages, stream), lambda heard: True)

    def deliver(arrived: Arrived) -> None:
        delivered.append(arrived.position.offset)

    heard = Heard(ROOM, deliver, catch_up.wake, cast(Callable[..., Any], print))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catch_up.run)
        heard.confirmed()
        await wait_all_tasks_blocked()
        stream.answer()  # it begins at 0
        await wait_all_tasks_blocked()
        heard.confirmed()
        await wait_all_tasks_blocked()
        stream.last = 3
        heard.hear(f"{EPOCH} 3 1\n".encode() + body(3))
        stream.answer()  # with nothing: 1 and 2 are missing
        await wait_all_tasks_blocked()
        assert stream.asked == 1
        stream.answer()
        await wait_all_tasks_blocked()
        assert stream.asked == 0
        nursery.cancel_scope.cancel()
    assert delivered == [1, 2, 3]
