"""`rooms.server.expiries`: connections that end when their time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from rooms.errors import Disconnect
from rooms.server.expiries import Expiries
from rooms.server.timers import Timers


class Connection:
    def __init__(self) -> None:
        self.ended: list[tuple[int, float]] = []

    def end(self, reason: Disconnect) -> None:
        self.ended.append((reason.code, trio.current_time()))


@asynccontextmanager
async def expiries() -> AsyncIterator[Expiries]:
    timers = Timers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        yield Expiries(timers)
        nursery.cancel_scope.cancel()


async def test_each_ends_at_its_time_but_for_a_second_or_two(autojump_clock: MockClock) -> None:
    connections = [Connection() for _ in range(3)]
    async with expiries() as every:
        begun = trio.current_time()
        for connection, seconds in zip(connections, (0.0, 5.5, 30.0), strict=True):
            every.set(connection, seconds)
        await trio.sleep(60)
        after = [ended[0][1] - begun for ended in (each.ended for each in connections)]
        assert after == [pytest.approx(at, abs=1.01) for at in (1.0, 6.5, 31.0)]
        assert {each.ended[0][0] for each in connections} == {3005}
        assert len(every) == 0


async def test_a_new_end_takes_the_place_of_the_old_one(autojump_clock: MockClock) -> None:
    later, never, gone = Connection(), Connection(), Connection()
    async with expiries() as every:
        for each in (later, never, gone):
            every.set(each, 5)
        every.set(later, 20)
        every.set(never, None)
        every.remove(gone)
        await trio.sleep(10)
        assert len(every) == 1
        await trio.sleep(20)
    assert [len(each.ended) for each in (later, never, gone)] == [1, 0, 0]


async def test_it_goes_on_after_a_time_with_nothing_to_do(autojump_clock: MockClock) -> None:
    first, second = Connection(), Connection()
    async with expiries() as every:
        every.set(first, 2)
        await trio.sleep(10)
        every.set(second, 2)
        await trio.sleep(10)
    assert len(first.ended) == len(second.ended) == 1


@pytest.mark.parametrize("seconds", [1e300, float("inf"), float("nan")])
async def test_an_end_that_nobody_will_see_is_none(seconds: float) -> None:
    async with expiries() as every:
        every.set(Connection(), seconds)
        assert len(every) == 0
