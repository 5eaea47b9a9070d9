"""`rooms.server.drain`: everybody leaves in time, and is told when to come back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context
from rooms.config import Settings
from rooms.server.drain import (
    ARRIVAL_SECONDS,
    BATCH_SECONDS,
    LAST_SECONDS,
    RESTART_SECONDS,
    Drain,
    departures,
)
from rooms.server.listen import Listener
from rooms.testing import Closed, MemoryServer, TestClient, in_memory

AWAY = re.compile(r"server restarts, retry after (\d+\.\d\d) s")


class FakeListener:
    """Is closed as soon as it is told to stop."""

    def __init__(self) -> None:
        self.closed = trio.Event()

    def stop(self) -> None:
        self.closed.set()


class FakeHttp:
    """HTTP connections that are stopped."""

    def __init__(self) -> None:
        self.graces: list[float] = []
        self.over = trio.Event()

    async def stop(self, grace: float) -> None:
        self.graces.append(grace)
        await self.over.wait()


class Audience:
    """Clients that take note of how they were sent away, and when."""

    def __init__(self, server: MemoryServer, nursery: trio.Nursery) -> None:
        self._server = server
        self._nursery = nursery
        self.left: list[tuple[float, Closed]] = []

    async def grow(self, count: int) -> None:
        """Connect that many more."""
        for _ in range(count):
            client = await self._server.connect()
            await client.join("lobby")
            self._nursery.start_soon(self._listen, client)

    async def _listen(self, client: TestClient) -> None:
        closed = await client.closing()
        self.left.append((trio.current_time(), closed))
        await client.stream.aclose()

    @property
    def away(self) -> list[float]:
        """How long each was told to stay away, in seconds."""
        found = [AWAY.fullmatch(closed.reason) for _, closed in self.left]
        return [float(match[1]) for match in found if match]


class Ending:
    """A server in memory that is about to be drained."""

    def __init__(
        self, server: MemoryServer, nursery: trio.Nursery, http: FakeHttp | None, replaced: bool
    ) -> None:
        self.server = server
        self.node = server.node
        self.listener = FakeListener()
        self.audience = Audience(server, nursery)
        self.drain = Drain(
            server.node,
            cast(Listener, self.listener),
            None if http is None else http.stop,
            replaced=replaced,
        )


@asynccontextmanager
async def ending(
    app: App | None = None, *, http: FakeHttp | None = None, replaced: bool = True, **changes: Any
) -> AsyncIterator[Ending]:
    """Run a server in memory."""
    settings = Settings(**changes)
    async with in_memory(app or App(), settings) as server, trio.open_nursery() as nursery:
        yield Ending(server, nursery, http, replaced)


# The plan.


def test_clients_leave_in_batches_and_come_back_evenly_when_all_have_left() -> None:
    plan = list(departures(1000, 5.0, 0.0))
    batches = sorted({at for at, _ in plan})
    assert batches == pytest.approx([BATCH_SECONDS * number for number in range(50)])
    back = [at + away for at, away in plan]
    assert back == pytest.approx([5 + 5 * number / 1000 for number in range(1000)])


def test_nobody_comes_back_to_a_server_that_is_not_there_yet() -> None:
    assert list(departures(2, 0.0, 1.5)) == [(0, 1.5), (0, 1.5)]
    assert list(departures(0, 5.0, 1.5)) == []


# Draining.


async def test_clients_are_sent_away_over_the_window_and_told_for_how_long(
    autojump_clock: MockClock,
) -> None:
    async with ending(drain_seconds=0.5) as end:
        await end.audience.grow(50)
        start = trio.current_time()
        await end.drain.run()
        assert end.node.sessions == {}
    times = [time - start for time, _ in end.audience.left]
    assert sorted({round(time, 6) for time in times}) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert {closed.code for _, closed in end.audience.left} == {3001}
    assert min(end.audience.away) >= 0.5
    assert max(end.audience.away) < 0.5 + BATCH_SECONDS


async def test_few_clients_need_no_window(autojump_clock: MockClock) -> None:
    async with ending(drain_seconds=3600) as end:
        await end.audience.grow(5)
        start = trio.current_time()
        await end.drain.run()
        assert trio.current_time() - start <= 0.05


async def test_without_a_successor_they_are_told_to_wait_for_the_restart(
    autojump_clock: MockClock,
) -> None:
    async with ending(replaced=False, drain_seconds=0) as end:
        await end.audience.grow(3)
        await end.drain.run()
    assert end.audience.away == [RESTART_SECONDS] * 3


async def test_nobody_is_taken_in_from_the_beginning(autojump_clock: MockClock) -> None:
    async with ending(drain_seconds=1) as end, trio.open_nursery() as nursery:
        await end.audience.grow(1)
        nursery.start_soon(end.drain.run)
        await wait_all_tasks_blocked()
        assert end.node.draining
        assert end.listener.closed.is_set()


async def test_what_a_client_has_asked_for_is_done_before_it_leaves(
    autojump_clock: MockClock,
) -> None:
    app, done = App(), []

    @app.on("work")
    async def work(ctx: Context[Any]) -> int:
        await trio.sleep(ctx.payload)
        done.append(ctx.payload)
        return 1

    async with ending(app) as end, trio.open_nursery() as nursery:
        client = await end.server.connect()
        for number, seconds in enumerate((2, 1)):
            await client.send(type="event", event="work", payload=seconds, id=number)
        await wait_all_tasks_blocked()
        nursery.start_soon(end.drain.run)
        await wait_all_tasks_blocked()
        await client.send(type="event", event="work", payload=3, id=3)
        assert [(await client.receive())["id"] for _ in range(2)] == [0, 1]
        assert (await client.closing()).code == 3001
        await client.stream.aclose()
    assert done == [2, 1]


async def test_who_is_still_here_goes_on_hearing_what_others_say(
    autojump_clock: MockClock,
) -> None:
    app, go_on = App(relay=True), trio.Event()

    @app.on("wait")
    async def wait(ctx: Context[Any]) -> None:
        await go_on.wait()

    async with ending(app) as end, trio.open_nursery() as nursery:
        client = await end.server.connect()
        await client.join("lobby")
        await client.send(type="event", event="wait", id=7)
        await wait_all_tasks_blocked()
        nursery.start_soon(end.drain.run)
        await wait_all_tasks_blocked()
        await app.room("lobby").publish("said", "late")
        assert await client.receive_event("said") == "late"
        go_on.set()
        assert (await client.receive())["id"] == 7
        assert (await client.closing()).code == 3001
        await client.stream.aclose()


async def test_a_handler_that_is_stuck_holds_it_up_for_the_grace_only(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("stick")
    async def stick(ctx: Context[Any]) -> None:
        await trio.sleep_forever()

    async with ending(app, grace_seconds=3) as end:
        client = await end.server.connect()
        await client.send(type="event", event="stick")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await end.drain.run()
        assert trio.current_time() - start == pytest.approx(3.01)
        await end.drain.end()
        assert trio.current_time() - start == pytest.approx(3.01 + LAST_SECONDS)
        assert (await client.closing()).code == 3001
        await client.stream.aclose()


async def test_requests_under_way_are_waited_for(autojump_clock: MockClock) -> None:
    http = FakeHttp()
    async with ending(http=http, grace_seconds=7) as end, trio.open_nursery() as nursery:
        nursery.start_soon(end.drain.run)
        await wait_all_tasks_blocked()
        assert http.graces == [7]
        assert len(nursery.child_tasks) == 1
        http.over.set()


async def test_who_was_accepted_last_is_waited_for_as_long_as_one_after_the_other_speaks(
    autojump_clock: MockClock,
) -> None:
    http = FakeHttp()
    async with ending(http=http) as end, trio.open_nursery() as nursery:
        admission = end.node.admission
        busy, slow, _silent = [admission.arrive_unlimited("somebody") for _ in range(3)]
        nursery.start_soon(end.drain.run)
        await trio.sleep(0.9 * ARRIVAL_SECONDS)
        admission.opened(busy)
        await trio.sleep(0.9 * ARRIVAL_SECONDS)
        assert http.graces == []
        admission.opened(slow)
        await trio.sleep(ARRIVAL_SECONDS)
        assert http.graces == []
        await trio.sleep(ARRIVAL_SECONDS)
        assert http.graces == [end.node.settings.grace_seconds]
        http.over.set()


# The end, with and without draining before.


async def test_without_draining_everybody_is_told_at_once_and_handlers_are_cancelled(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("stick")
    async def stick(ctx: Context[Any]) -> None:
        await trio.sleep_forever()

    async with ending(app) as end:
        await end.audience.grow(20)
        client = await end.server.connect()
        await client.send(type="event", event="stick")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.drain.end)
            closed = await client.closing()
            await client.stream.aclose()
        assert end.node.sessions == {}
    assert (closed.code, closed.reason) == (3001, "server is shutting down")


async def test_abandoning_a_drain_leaves_a_moment_for_goodbyes_only(
    autojump_clock: MockClock,
) -> None:
    async with ending(drain_seconds=100) as end:
        await end.audience.grow(100)
        silent = await end.server.connect()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.drain.run)
            await trio.sleep(0.5)
            end.drain.abandon()
        await end.drain.end()
        assert trio.current_time() - start == pytest.approx(0.5 + LAST_SECONDS)
        assert (await silent.closing()).code == 3001
        await silent.stream.aclose()
    assert len(end.audience.left) == 100
    assert 40 <= len(end.audience.away) <= 60  # the others were told nothing but that it ends


async def test_abandoning_the_end_cuts_it_short(autojump_clock: MockClock) -> None:
    async with ending(close_seconds=60, grace_seconds=60) as end:
        silent = await end.server.connect()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.drain.end)
            await trio.sleep(1)
            end.drain.abandon()
        assert trio.current_time() - start == pytest.approx(1)
        await end.node.idle()
        await silent.stream.aclose()


async def test_abandoned_before_it_begins_it_waits_for_nothing(autojump_clock: MockClock) -> None:
    async with ending(drain_seconds=100, grace_seconds=60) as end:
        silent = await end.server.connect()
        end.drain.abandon()
        start = trio.current_time()
        await end.drain.run()
        await end.drain.end()
        assert trio.current_time() - start == pytest.approx(LAST_SECONDS)
        await silent.stream.aclose()
