"""Scripts that are to be run: collected, sent together, and each with a result of its own."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import chain
from math import inf
from typing import Any

import structlog
import trio
from coredis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    TryAgainError,
)

from rooms.brokers.redis_pipeline import Command, Pipeline
from rooms.brokers.redis_scripts import Script
from rooms.errors import Unavailable

log = structlog.get_logger("rooms")

BATCH = 500
"""The most calls that are sent together."""

WAITING = 10_000
"""The most calls that wait for the engine; who comes then waits outside."""

SAY_SECONDS = 10.0
"""How often at most it is said that the engine refuses something."""

ELSEWHERE: dict[type[Exception], str] = {
    AskError: "it is one of a cluster and refers to another; redis+cluster:// finds that",
    BusyLoadingError: "it is still loading its data",
    ClusterDownError: "its cluster is down, or lacks slots",
    ReadOnlyError: "it is a replica, which takes no writes",
    TryAgainError: "a slot of its cluster is being moved",
}
"""What says a server that is not, or not yet, the right one; nothing was done."""

NONSENSE = (ValueError, TypeError, LookupError)
"""What reading an answer may end with: somebody else writes to our keys."""

NOT_DONE = (*ELSEWHERE, NoScriptError)
"""Says a server that has not done anything, and what it was asked is to be asked again."""

AWAY = "The server's broker is away for the moment; try again."

REFUSED = "The broker refuses that for the moment; its operator finds why in logs."

UNSURE = (
    "The server's broker went away meanwhile: nobody knows whether this was published. Publish with"
    " a key; then it can be sent again, and is published once."
)
"""What became of a publication without a key that was under way."""


class Elsewhere(Exception):
    """The server is not the right one, or not any more; the message says why."""


def _nobody() -> None:
    """Tell nobody."""


def as_it_is(answer: Any) -> Any:
    """Read an answer as what it is."""
    return answer


class Call:
    """One run of a script.

    Args:
        again: Whether it may be run again when it is not known whether it was.
        read: Makes the result of the engine's answer.

    Attributes:
        done: Whether it is known what came out.
        due: When it fails, whatever it waits for.
        landed: Called as soon as it is done.
        refusal: Why the engine has refused it, for operators; empty if it has not.
        sent: Whether it may have been run.
    """

    __slots__ = (
        "_error",
        "_result",
        "again",
        "args",
        "done",
        "due",
        "given_up",
        "keys",
        "landed",
        "read",
        "refusal",
        "script",
        "sent",
    )

    def __init__(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        again: bool = True,
        read: Callable[[Any], Any] = as_it_is,
    ) -> None:
        self.script = script
        self.keys = keys
        self.args = args
        self.again = again
        self.read = read
        self.given_up = False
        self.sent = False
        self.refusal = ""
        self.done = False
        self.due = inf
        self.landed: Callable[[], object] = _nobody
        self._result: Any = None
        self._error: Unavailable | None = None

    def succeed(self, answer: Any) -> None:
        """Tell who waits what came out.

        Raises:
            NONSENSE: The answer cannot be read; nobody has been told.
        """
        if not self.done:
            self._result, self.done = self.read(answer), True
            self.landed()

    @property
    def unsure(self) -> bool:
        """Whether nobody knows if it was run, and it must not be run again."""
        return self.sent and not self.again

    def fail(self, message: str) -> None:
        """Tell who waits that it failed for the moment."""
        if not self.done:
            self._error, self.done = Unavailable(message), True
            self.landed()

    def give_up(self) -> None:
        """Have it not run, if it is not too late, and nobody told."""
        self.given_up = True
        self.landed = _nobody

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
        self._waiting: deque[Call] = deque()
        self._sent: Sequence[Call] = ()
        self._sender = trio.lowlevel.ParkingLot()
        self._outside = trio.lowlevel.ParkingLot()
        self._refused = 0  # and not said yet
        self._said = -SAY_SECONDS

    def put_nowait(self, call: Call) -> None:
        """Have ``call`` done.

        Raises:
            trio.WouldBlock: Too many are waiting.
        """
        if len(self._waiting) >= WAITING:
            raise trio.WouldBlock
        self._waiting.append(call)
        self._sender.unpark()

    async def put(self, call: Call) -> None:
        """Have ``call`` done, waiting while too many are waiting."""
        while len(self._waiting) >= WAITING:
            await self._outside.park()
        self.put_nowait(call)

    def take_back(self) -> list[Call]:
        """Return all that wait, for another server."""
        calls = [*self._waiting]
        self._waiting.clear()
        self._outside.unpark_all()
        return calls

    def put_first(self, calls: Sequence[Call]) -> None:
        """Have calls done before all others."""
        self._waiting.extendleft(reversed(calls))
        self._sender.unpark()

    def fail_overdue(self, now: float) -> float:
        """Fail what is overdue, and return when the next will be."""
        for call in chain(self._sent, self._waiting):
            if call.due > now and call.due < inf and not call.done:
                return call.due
            if call.due <= now and not call.done:
                self._counts["given_up"] += 1
                call.given_up = True
                call.fail(UNSURE if call.unsure else AWAY)
        return inf

    async def run(self, pipeline: Pipeline) -> None:
        """Send what waits, for ever.

        Raises:
            Elsewhere, RedisError, TROUBLE: It is over with this server.
        """
        while True:
            batch = self._sent = await self._batch()
            self._counts["pipelines"] += 1
            results = await self._answers(pipeline, batch)
            self._sent = ()
            if again := self._settle(batch, results):
                self.put_first(again)
            if again:
                await _load(pipeline, batch, results)

    async def _answers(self, pipeline: Pipeline, batch: list[Call]) -> Sequence[Any]:
        """Return what came of each call; a batch that is cut short is tried again or fails."""
        answers: Sequence[Any] | None = None
        for call in batch:
            call.sent = True
        try:
            answers = await pipeline.run([_evalsha(call) for call in batch])
            return answers
        finally:
            if answers is None:
                self._sent = ()
                self._interrupted(batch)

    async def _batch(self) -> list[Call]:
        batch: list[Call] = []
        while not batch:
            if not self._waiting:
                await self._sender.park()
            await trio.lowlevel.checkpoint()  # who publishes at the same time comes along
            while self._waiting and len(batch) < BATCH:
                call = self._waiting.popleft()
                if not call.given_up:
                    batch.append(call)
        if self._outside:
            self._outside.unpark_all()
        return batch

    def _settle(self, batch: list[Call], results: Sequence[Any]) -> list[Call]:
        """Give each call its result, and return those that are to be done again."""
        again: list[Call] = []
        for number, (call, result) in enumerate(zip(batch, results, strict=True)):
            if not isinstance(result, Exception):
                self._succeed(call, result)
            elif not isinstance(result, NOT_DONE):
                self._refuse(call, "the engine refused a script", result)
            elif _overtaken(call, batch[number:], results[number:]):
                call.fail("The broker did something later first; try again.")
            else:
                call.sent = False
                again.append(call)
        return again

    def _succeed(self, call: Call, answer: Any) -> None:
        try:
            call.succeed(answer)
        except NONSENSE as error:
            self._refuse(call, "what a key of ours holds makes no sense", error)

    def _refuse(self, call: Call, what: str, error: Exception) -> None:
        """Fail a call and say so, but not as often: a full engine refuses whatever comes."""
        call.refusal = str(error)
        call.fail(REFUSED)
        self._refused += 1
        now = trio.current_time()
        if now - self._said < SAY_SECONDS:
            return
        log.error(
            what,
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


def _overtaken(call: Call, batch: Sequence[Call], results: Sequence[Any]) -> bool:
    """Whether something that came after a call and concerns the same is done already."""
    each = zip(batch, results, strict=True)
    return any(
        other.keys[0] == call.keys[0] and not isinstance(result, NOT_DONE) for other, result in each
    )


async def _load(pipeline: Pipeline, batch: Sequence[Call], results: Sequence[Any]) -> None:
    """Have the server learn the scripts that it did not know.

    Raises:
        Elsewhere: It knew all of them.
    """
    each = zip(batch, results, strict=True)
    missing = {call.script for call, result in each if isinstance(result, NoScriptError)}
    if not missing:
        raise Elsewhere(_why_elsewhere(results))
    for script in missing:
        await pipeline.ask("SCRIPT", "LOAD", script.text)


def _why_elsewhere(results: Sequence[Any]) -> str:
    said = (
        why for result in results for kind, why in ELSEWHERE.items() if isinstance(result, kind)
    )
    return next(said)


def _evalsha(call: Call) -> Command:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
