"""`rooms.server.stalls`: an end for who takes nothing, whatever else happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from rooms.server.stalls import CHECKS, Stalls
from rooms.server.timers import Timers


class FakeOutbox:
    """Something that waits, and moves when a test says so."""

    def __init__(self) -> None:
        self.takes = False
        self.stalled: list[float] = []

    def moved(self) -> bool:
        took, self.takes = self.takes, False
        return took

    def stall(self) -> None:
        self.stalled.append(trio.current_time())


@asynccontextmanager
async def watching(seconds: float) -> AsyncIterator[Stalls]:
    """Stalls that are looked for while the block runs."""
    timers = Timers()
    stalls = Stalls(timers, seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        stalls.start()
        yield stalls
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", [20, 0.5])
async def test_what_does_not_move_in_time_is_ended_once(
    seconds: float, autojump_clock: MockClock
) -> None:
    async with watching(seconds) as stalls:
        outbox = FakeOutbox()
        await trio.sleep(seconds / 3)
        start = trio.current_time()
        stalls.watch(outbox)
        await trio.sleep(seconds * 5)
    (at,) = outbox.stalled
    assert seconds <= at - start <= seconds * (1 + 1.01 / CHECKS)


async def test_what_moves_now_and_then_lives_on(autojump_clock: MockClock) -> None:
    async with watching(20) as stalls:
        outbox = FakeOutbox()
        stalls.watch(outbox)
        for _ in range(5):
            await trio.sleep(18)
            outbox.takes = True
        assert not outbox.stalled
        await trio.sleep(23)
        assert outbox.stalled


async def test_what_waits_no_more_is_left_alone(autojump_clock: MockClock) -> None:
    async with watching(20) as stalls:
        outbox = FakeOutbox()
        stalls.watch(outbox)
        await trio.sleep(19)
        stalls.forget(outbox)
        stalls.forget(outbox)
        await trio.sleep(60)
        assert not outbox.stalled
