"""`rooms.brokers.redis_calls` with an engine that answers what a test wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio
from coredis.exceptions import NoScriptError, RedisError, TryAgainError
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from rooms.brokers.redis_calls import WAITING, Call, Calls, Elsewhere
from rooms.brokers.redis_pipeline import Command, Pipeline
from rooms.brokers.redis_scripts import TELL
from rooms.brokers.redis_wire import WireError
from rooms.errors import Unavailable


class Engine:
    """Gives the answers to each pipeline that it is to give, or fails, then none.

    Attributes:
        sent: What was asked, a list for each pipeline.
        learnt: The scripts that it was told.
    """

    def __init__(self, *answers: Sequence[Any] | Exception) -> None:
        self.sent: list[list[str]] = []
        self.learnt: list[str] = []
        self._answers = list(answers)

    async def run(self, commands: Sequence[Command]) -> Sequence[Any]:
        self.sent.append([str(command[-1]) for command in commands])
        if not self._answers:
            await trio.sleep_forever()
        answers = self._answers.pop(0)
        if isinstance(answers, Exception):
            raise answers
        return answers

    async def ask(self, *words: str) -> None:
        self.learnt.append(words[-1])


def calls_with(*made: Call) -> Calls:
    calls = Calls(Counter())
    for call in made:
        calls.put_nowait(call)
    return calls


def call(name: str, room: str = "a") -> Call:
    return Call(TELL, [room], [name], again=False)


async def run_until_blocked(calls: Calls, engine: Engine) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.run, cast(Pipeline, engine))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def outcome(call: Call) -> Any:
    try:
        return call.result() if call.done else "under way"
    except Unavailable:
        return "failed"


async def test_what_waits_is_sent_together() -> None:
    first, second = call("1"), call("2")
    engine = Engine([1, 2])
    await run_until_blocked(calls_with(first, second), engine)
    assert engine.sent == [["1", "2"]]
    assert (outcome(first), outcome(second)) == (1, 2)


async def test_a_script_that_is_not_known_is_told_and_run_again() -> None:
    made = call("1"), call("2")
    engine = Engine([NoScriptError(), NoScriptError()], [1, 2])
    await run_until_blocked(calls_with(*made), engine)
    assert (engine.sent, engine.learnt) == ([["1", "2"], ["1", "2"]], [TELL.text])
    assert [outcome(each) for each in made] == [1, 2]


async def test_what_was_not_done_is_not_done_behind_what_came_later() -> None:
    made = call("1"), call("2"), call("other", "b")
    engine = Engine([NoScriptError(), 2, NoScriptError()], [3])
    await run_until_blocked(calls_with(*made), engine)
    assert engine.sent == [["1", "2", "other"], ["other"]]
    assert [outcome(each) for each in made] == ["failed", 2, 3]


async def test_another_server_gets_what_this_one_does_not_do_in_the_same_order() -> None:
    made = call("1"), call("2")
    calls = calls_with(*made)
    with pytest.raises(Elsewhere):
        await calls.run(cast(Pipeline, Engine([TryAgainError(), TryAgainError()])))
    assert calls.take_back() == [*made]


async def test_what_a_broken_connection_had_is_sent_again_if_it_may_be() -> None:
    unkeyed, *keyed = call("1"), call("2", "b"), call("3", "b")
    for each in keyed:
        each.again = True
    calls = calls_with(unkeyed, *keyed)
    with pytest.raises(WireError):
        await calls.run(cast(Pipeline, Engine(WireError("the engine closed the connection"))))
    assert [outcome(each) for each in keyed] == ["under way", "under way"]
    with pytest.raises(Unavailable, match="nobody knows whether this was published"):
        unkeyed.result()
    engine = Engine([2, 3])
    await run_until_blocked(calls, engine)
    assert engine.sent == [["2", "3"]]
    assert [outcome(each) for each in keyed] == [2, 3]


@pytest.mark.parametrize(
    "junk", [b":1\r\n:2\r\n", b"HTTP/1.1 400\r\n", b":x\r\n", b"-\xff\r\n", b"-MOVED\r\n", b"\r\n"]
)
async def test_an_answer_that_is_none_is_a_broken_connection(junk: bytes) -> None:
    ours, its = memory_stream_pair()
    await its.send_all(junk)
    with pytest.raises((WireError, RedisError)):
        await Pipeline(ours).run([("PING",)])


async def test_what_is_overdue_fails_wherever_it_is(autojump_clock: MockClock) -> None:
    sent, waiting, later = call("1"), call("2"), call("3")
    sent.due = waiting.due = 1
    later.due = 2
    calls = calls_with(sent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.run, cast(Pipeline, Engine()))
        await wait_all_tasks_blocked()
        calls.put_nowait(waiting)
        calls.put_nowait(later)
        assert calls.fail_overdue(0.5) == 1
        assert calls.fail_overdue(1) == 2
        nursery.cancel_scope.cancel()
    assert [outcome(each) for each in (sent, waiting, later)] == ["failed", "failed", "under way"]


async def test_who_comes_when_too_many_wait_waits_outside() -> None:
    calls = calls_with(*(call(str(number)) for number in range(WAITING)))
    with pytest.raises(trio.WouldBlock):
        calls.put_nowait(call("more"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(calls.put, last := call("last"))
        await wait_all_tasks_blocked()
        assert last not in calls.take_back()
        await wait_all_tasks_blocked()
        assert calls.take_back() == [last]
