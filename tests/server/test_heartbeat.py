"""`rooms.server.heartbeat`: pings in turn, and an end for who stays silent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from rooms.errors import Disconnect, NoPong
from rooms.protocol.frames import PING, server_frame
from rooms.server.heartbeat import Heartbeat, Ping
from rooms.server.timers import Timers


class FakeConnection:
    """A connection that answers pings after so many seconds, or never.

    Attributes:
        pinged: When pings came.
        confirmed: What its machine has confirmed, where that is known.
        confirms: Whether it goes on doing so.
        ended: When and why the connection was ended.
    """

    def __init__(self, timers: Timers, answers_after: float | None) -> None:
        self.full = False
        self.heard = True
        self.ping: Ping | None = None
        self.confirmed: int | None = None
        self.confirms = False
        self.pinged: list[float] = []
        self.ended: list[tuple[float, Disconnect]] = []
        self._timers = timers
        self._answers_after = answers_after

    def write(self, frames: bytes) -> None:
        assert self.ping is not None
        assert self.ping.at == trio.current_time()
        assert frames == server_frame(self.ping.payload, PING)
        self.pinged.append(trio.current_time())
        if self._answers_after is not None:
            self._timers.call_later(self._answers_after, self._answer)

    def progress(self) -> int | None:
        if self.confirms and self.confirmed is not None:
            self.confirmed += 1
        return self.confirmed

    def end(self, reason: Disconnect) -> None:
        self.ended.append((trio.current_time(), reason))

    def _answer(self) -> None:
        self.heard = True


@asynccontextmanager
async def beating(interval: float, answer: float) -> AsyncIterator[tuple[Heartbeat, Timers]]:
    """A heartbeat that turns while the block runs."""
    timers = Timers()
    heartbeat = Heartbeat(timers, interval, answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        heartbeat.start()
        yield heartbeat, timers
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("interval", [25, 2.5, 1, 0.5])
async def test_a_connection_is_pinged_once_an_interval(
    autojump_clock: MockClock, interval: float
) -> None:
    async with beating(interval, answer=0.4) as (heartbeat, timers):
        connection = FakeConnection(timers, answers_after=0.1)
        heartbeat.add(connection)
        await trio.sleep(interval * 10.5)
    gaps = [b - a for a, b in zip(connection.pinged, connection.pinged[1:], strict=False)]
    assert len(connection.pinged) == 10
    assert gaps == pytest.approx([interval] * 9)
    assert not connection.ended


@pytest.mark.parametrize("joined_at", [0, 0.5, 3, 24.9])
async def test_the_first_ping_comes_after_about_an_interval(
    autojump_clock: MockClock, joined_at: float
) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        await trio.sleep(joined_at)
        connection, start = FakeConnection(timers, 0.1), trio.current_time()
        heartbeat.add(connection)
        await trio.sleep(26)
    assert 24 <= connection.pinged[0] - start <= 25


async def test_who_does_not_answer_in_time_is_ended(autojump_clock: MockClock) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        silent = FakeConnection(timers, answers_after=None)
        heartbeat.add(silent)
        await trio.sleep(40)
    ((at, reason),) = silent.ended
    assert at - silent.pinged[0] == pytest.approx(10)
    assert isinstance(reason, NoPong)


async def test_who_answers_late_but_in_time_lives_on(autojump_clock: MockClock) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        late = FakeConnection(timers, answers_after=9.9)
        too_late = FakeConnection(timers, answers_after=10.1)
        heartbeat.add(late)
        heartbeat.add(too_late)
        await trio.sleep(40)
    assert not late.ended
    assert too_late.ended


@pytest.mark.parametrize("interval", [5, 1, 0.5])
async def test_more_time_to_answer_than_between_pings_is_no_trap(
    autojump_clock: MockClock, interval: float
) -> None:
    async with beating(interval, answer=6) as (heartbeat, timers):
        connection = FakeConnection(timers, answers_after=interval / 2)
        heartbeat.add(connection)
        await trio.sleep(60)
    assert not connection.ended


async def test_who_is_not_read_for_a_while_is_not_taken_for_silent(
    autojump_clock: MockClock,
) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        full = FakeConnection(timers, answers_after=None)
        full.full = True
        heartbeat.add(full)
        await trio.sleep(60)
        assert not full.ended
        full.full = False
        await trio.sleep(60)
    assert full.ended


async def test_who_is_not_read_and_confirms_nothing_is_gone(autojump_clock: MockClock) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        gone, there, clogged = (FakeConnection(timers, answers_after=None) for _ in range(3))
        for connection in (gone, there, clogged):
            connection.full = True
            heartbeat.add(connection)
        gone.confirmed = there.confirmed = 7
        there.confirms = True
        await trio.sleep(36)
    ((at, reason),) = gone.ended
    assert at - gone.pinged[0] == pytest.approx(10)
    assert isinstance(reason, NoPong)
    assert not there.ended
    assert not clogged.ended


async def test_who_is_read_again_just_before_its_time_is_up_gets_another_ping(
    autojump_clock: MockClock,
) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        connection = FakeConnection(timers, answers_after=None)
        connection.full = True
        heartbeat.add(connection)
        await trio.sleep(34)
        connection.full = False
        await trio.sleep(10)
        assert not connection.ended
        await trio.sleep(60)
    assert connection.ended


async def test_each_ping_of_a_connection_can_be_told_from_the_one_before(
    autojump_clock: MockClock,
) -> None:
    seen: set[bytes] = set()
    async with beating(25, answer=10) as (heartbeat, timers):
        connection = FakeConnection(timers, answers_after=0.1)
        heartbeat.add(connection)
        await trio.sleep(1)
        for _ in range(4):
            await trio.sleep(25)
            assert connection.ping is not None
            seen.add(connection.ping.payload)
    assert len(seen) == 4


async def test_who_was_removed_is_pinged_no_more(autojump_clock: MockClock) -> None:
    async with beating(25, answer=10) as (heartbeat, timers):
        stays, goes = FakeConnection(timers, 0.1), FakeConnection(timers, 0.1)
        heartbeat.add(stays)
        spoke = heartbeat.add(goes)
        heartbeat.remove(goes, spoke)
        heartbeat.remove(goes, spoke)
        await trio.sleep(30)
    assert len(stays.pinged) == 1
    assert not goes.pinged


async def test_connections_that_come_one_by_one_are_not_pinged_all_at_once(
    autojump_clock: MockClock,
) -> None:
    async with beating(10, answer=1) as (heartbeat, timers):
        connections = [FakeConnection(timers, 0.1) for _ in range(10)]
        await trio.sleep(0.5)
        for connection in connections:
            heartbeat.add(connection)
            await trio.sleep(1)
        await trio.sleep(15)
    assert len({round(connection.pinged[0]) for connection in connections}) == 10
