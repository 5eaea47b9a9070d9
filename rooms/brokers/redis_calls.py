"""Scripts that are to be run: collected, sent together, and each with a result of its own."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, cast

import structlog
import trio
from coredis import Redis
from coredis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    TryAgainError,
)

from rooms.brokers.redis_connection import REPLY_SECONDS
from rooms.brokers.redis_scripts import TELL, Script
from rooms.errors import Unavailable

log = structlog.get_logger("rooms")

BATCH = 500
"""The most calls that are sent together."""

WAITING = 10_000
"""The most calls that wait for the engine; who comes then waits outside."""

SAY_SECONDS = 10.0
"""How often at most it is said that the engine refuses something."""

ELSEWHERE = (AskError, ClusterDownError, ReadOnlyError, TryAgainError, BusyLoadingError)
"""Says a server that is not, or not yet, the right one; nothing was done."""


AWAY = "The server's broker is away for the moment; try again."

UNSURE = (
    "The server's broker went away meanwhile: nobody knows whether this was published. Publish with"
    " a key; then it can be sent again, and is published once."
)
"""What became of a publication without a key that was under way."""


class Elsewhere(Exception):
    """The server is not the right one any more."""


class Call:
    """One run of a script.

    Args:
        again: Whether it may be run again when it is not known whether it was.

    Attributes:
        sent: Whether it may have been run.
    """

    __slots__ = ("_error", "_result", "again", "args", "done", "given_up", "keys", "script", "sent")

    def __init__(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        again: bool = True,
    ) -> None:
        self.script = script
        self.keys = keys
        self.args = args
        self.again = again
        self.given_up = False
        self.sent = False
        self.done = trio.Event()
        self._result: Any = None
        self._error: Unavailable | None = None

    def succeed(self, result: Any) -> None:
        """Tell who waits what came out."""
        self._result = result
        self.done.set()

    @property
    def unsure(self) -> bool:
        """Whether nobody knows if it was run, and it must not be run again."""
        return self.sent and not self.again

    def fail(self, message: str) -> None:
        """Tell who waits that it failed for the moment."""
        self._error = Unavailable(message)
        self.done.set()

    def result(self) -> Any:
        """Return what came out.

        Raises:
            Unavailable: It failed.
        """
        if self._error is not None:
            raise self._error
        return self._result


class Calls:
    """The calls that wait for one server.

    All that wait are sent in one pipeline; the next is sent when its answers are there.  So they
    are done in the order in which they came, and the more there are the cheaper each is.

    Args:
        counts: Where the pipelines are counted.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._send, self._receive = trio.open_memory_channel[Call](WAITING)
        self._first: deque[Call] = deque()  # those that are to be tried again
        self._refused = 0  # and not said yet
        self._said = -SAY_SECONDS

    async def put(self, call: Call) -> None:
        """Have ``call`` done, waiting while too many are waiting."""
        await self._send.send(call)

    def take_back(self) -> list[Call]:
        """Return all that wait, for another server."""
        calls = [*self._first]
        self._first.clear()
        while True:
            try:
                calls.append(self._receive.receive_nowait())
            except trio.WouldBlock:
                return calls

    def put_first(self, calls: Sequence[Call]) -> None:
        """Have calls done before all others."""
        self._first.extendleft(reversed(calls))
        with contextlib.suppress(trio.WouldBlock):  # then nobody sleeps
            self._send.send_nowait(_nudge())

    async def run(self, client: Redis[bytes]) -> None:
        """Send what waits, for ever.

        Raises:
            Elsewhere, RedisError, OSError: It is over with this server.
        """
        while True:
            batch = await self._batch()
            self._counts["pipelines"] += 1
            again = self._settle(batch, await self._answers(client, batch))
            if again:
                self.put_first(again)
                raise Elsewhere

    async def _answers(self, client: Redis[bytes], batch: list[Call]) -> Sequence[Any]:
        """Return what came of each call; a batch that is cut short is tried again or fails."""
        answers: Sequence[Any] | None = None
        for call in batch:
            call.sent = True
        try:
            answers = await self._execute(client, batch)
            return answers
        finally:
            if answers is None:
                self._interrupted(batch)

    async def _batch(self) -> list[Call]:
        batch: list[Call] = []
        while not batch:
            if not self._first:
                self._first.append(await self._receive.receive())
            await trio.lowlevel.checkpoint()  # who publishes at the same time comes along
            batch = [call for call in self._first if not call.given_up]
            self._first.clear()
        while len(batch) < BATCH:
            try:
                call = self._receive.receive_nowait()
            except trio.WouldBlock:
                break
            if not call.given_up:
                batch.append(call)
        return batch

    async def _execute(self, client: Redis[bytes], batch: list[Call]) -> Sequence[Any]:
        """Return the result or error of each call of a batch."""
        results = await _pipeline(client, batch)
        missing = {
            call.script for call, result in zip(batch, results, strict=True) if _unknown(result)
        }
        if not missing:
            return results
        for script in missing:
            await client.script_load(script.text)
        repeated = [call for call, result in zip(batch, results, strict=True) if _unknown(result)]
        second = iter(await _pipeline(client, repeated))
        return [next(second) if _unknown(result) else result for result in results]

    def _settle(self, batch: list[Call], results: Sequence[Any]) -> list[Call]:
        """Give each call its result, and return those that another server must do."""
        again: list[Call] = []
        for call, result in zip(batch, results, strict=True):
            if isinstance(result, ELSEWHERE) or _unknown(result):
                call.sent = False
                again.append(call)
            elif isinstance(result, Exception):
                self._note_refusal(call, result)
                call.fail("The broker refuses that for the moment; its operator finds why in logs.")
            else:
                call.succeed(result)
        return again

    def _note_refusal(self, call: Call, error: Exception) -> None:
        """Say so, but not as often as it happens: a full engine refuses whatever comes."""
        self._refused += 1
        now = trio.current_time()
        if now - self._said < SAY_SECONDS:
            return
        log.error(
            "the engine refused a script",
            key=call.keys[0],
            error=str(error),
            refused=self._refused,
        )
        self._refused, self._said = 0, now

    def _interrupted(self, batch: list[Call]) -> None:
        """Keep what may be done twice; nobody knows of the rest whether it was done."""
        self.put_first([call for call in batch if call.again])
        for call in batch:
            if not call.again:
                call.fail(UNSURE)


def _nudge() -> Call:
    """Return what only wakes."""
    call = Call(TELL, [], [])
    call.given_up = True
    return call


def _unknown(result: Any) -> bool:
    return isinstance(result, NoScriptError)


class _Evalsha:
    """One script as coredis' connections take it.

    Its pipelines make a request object, a callback and a span of telemetry of each; that costs
    more than all the rest of a publish.
    """

    __slots__ = ("serialized_arguments",)
    name = b"EVALSHA"
    decode = False

    def __init__(self, call: Call) -> None:
        self.serialized_arguments = (call.script.sha, len(call.keys), *call.keys, *call.args)


async def _pipeline(client: Redis[bytes], batch: Sequence[Call]) -> Sequence[Any]:
    """Send scripts together and return the result or the error of each."""
    async with client.connection_pool.acquire() as connection:
        requests: Any = [_Evalsha(call) for call in batch]
        answers = await connection.create_request_batch(requests, timeout=REPLY_SECONDS)
    return cast(Sequence[Any], answers)
