"""`rooms.server.lag`: how late the event loop is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.server.lag import BEAT_SECONDS, MEMORY_SECONDS, Lag
from rooms.server.timers import Timers


@asynccontextmanager
async def measuring() -> AsyncIterator[Lag]:
    """Measure while the block runs."""
    timers = Timers()
    lag = Lag(timers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        lag.start()
        await wait_all_tasks_blocked()
        yield lag
        nursery.cancel_scope.cancel()


async def beat(clock: MockClock, late: float) -> None:
    """Let a measurement be due, and nobody come to it until it is ``late``."""
    clock.jump(BEAT_SECONDS + late)
    await wait_all_tasks_blocked()


async def test_a_loop_in_time_has_no_lag(mock_clock: MockClock) -> None:
    async with measuring() as lag:
        for _ in range(3):
            await beat(mock_clock, late=0)
        assert lag.seconds == 0


async def test_the_lag_is_how_late_two_measurements_were(mock_clock: MockClock) -> None:
    async with measuring() as lag:
        await beat(mock_clock, late=2)
        await beat(mock_clock, late=0)
        assert lag.seconds == 0
        await beat(mock_clock, late=1.5)
        assert abs(lag.seconds - 1.5) < 1e-9
        while lag.seconds:  # until both are long ago
            await beat(mock_clock, late=0)
        assert trio.current_time() < 2 * MEMORY_SECONDS + 5


async def test_a_hiccup_is_no_lag(mock_clock: MockClock) -> None:
    async with measuring() as lag:
        for late in (0, 60, 0):
            await beat(mock_clock, late)
            assert lag.seconds == 0


async def test_a_node_is_overloaded_while_its_lag_is_past_the_limit(mock_clock: MockClock) -> None:
    async with App().running(Settings(lag_seconds=0.5)) as node:
        await wait_all_tasks_blocked()
        for late, overloaded in ((1, False), (0, False), (0.6, True), (0.4, True)):
            await beat(mock_clock, late)
            assert node.overloaded == overloaded
        await beat(mock_clock, MEMORY_SECONDS)
        assert not node.overloaded
