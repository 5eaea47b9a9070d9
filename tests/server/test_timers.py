"""`rooms.server.timers`: calls at their time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms.server.timers import Timers


async def test_calls_come_at_their_time_whatever_their_order(autojump_clock: MockClock) -> None:
    timers, called, start = Timers(), list[tuple[str, float]](), trio.current_time()

    def note(name: str) -> None:
        called.append((name, trio.current_time() - start))

    async with trio.open_nursery() as nursery:
        timers.call_later(3, lambda: note("third"))
        nursery.start_soon(timers.run)
        timers.call_later(1, lambda: note("first"))
        timers.call_later(2, lambda: note("second"))
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert called == [("first", 1), ("second", 2), ("third", 3)]


async def test_calls_of_the_same_moment_keep_their_order(autojump_clock: MockClock) -> None:
    timers, called = Timers(), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        for number in range(5):
            timers.call_later(1, lambda number=number: called.append(number))  # type: ignore[misc]  # a default is how a lambda keeps its own
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert called == [0, 1, 2, 3, 4]


async def test_an_earlier_call_wakes_a_task_that_waits_for_a_later_one(
    autojump_clock: MockClock,
) -> None:
    timers, called = Timers(), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.call_later(100, lambda: called.append(100))
        await wait_all_tasks_blocked()
        timers.call_later(1, lambda: called.append(1))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert called == [1]


async def test_a_repeated_call_comes_again_and_again(autojump_clock: MockClock) -> None:
    timers, called, start = Timers(), list[float](), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.call_every(2, lambda: called.append(trio.current_time() - start))
        await trio.sleep(7)
        nursery.cancel_scope.cancel()
    assert called == [2, 4, 6]


async def test_a_call_may_ask_for_another(autojump_clock: MockClock) -> None:
    timers, called = Timers(), list[str]()

    def first() -> None:
        called.append("first")
        timers.call_later(0, lambda: called.append("second"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.call_later(1, first)
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert called == ["first", "second"]


async def test_without_anything_to_call_the_clock_stands_still(mock_clock: MockClock) -> None:
    timers = Timers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await wait_all_tasks_blocked()
        mock_clock.jump(1_000_000)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught or pytest.fail("the task ended by itself")
