"""A connection on which commands are sent together, and their answers read.

What is read is made sense of by coredis' parser, which is compiled.  Its connections are not used:
each takes a pool, three tasks and four deadlines for what one task does here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
from coredis.parser import NotEnoughData, Parser

from rooms.brokers.redis_wire import RECEIVE_BYTES, WireError, pack

REPLY_SECONDS = 5.0
"""How long an answer may take before its connection counts as broken."""

Command = Sequence[str | bytes | int]


class Pipeline:
    """A connection to one server, for one task; once it has failed only `aclose` it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._parser = Parser()

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answer of each command, or the RedisError that it was refused with.

        Raises:
            OSError, WireError, RedisError, trio.TooSlowError, trio.BrokenResourceError: It failed.
        """
        answers: list[Any] = []
        with trio.fail_after(REPLY_SECONDS):
            await self._stream.send_all(b"".join([pack(*command) for command in commands]))
            while len(answers) < len(commands):
                answers += await self._read()
        if len(answers) > len(commands):
            raise WireError("more was answered than asked")
        return answers

    async def ask(self, *words: str | bytes | int) -> Any:
        """Return the answer of one command.

        Raises:
            RedisError: It was refused; or as `run` does.
        """
        (answer,) = await self.run([words])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """End the connection at once."""
        await trio.aclose_forcefully(self._stream)

    async def _read(self) -> list[Any]:
        """Return the answers that are complete now."""
        data = await self._stream.receive_some(RECEIVE_BYTES)
        if not data:
            raise WireError("the engine closed the connection")
        self._parser.feed(bytes(data))
        answers: list[Any] = []
        try:
            while not isinstance(answer := self._parser.parse(), NotEnoughData):
                answers.append(answer[1])
        except (ValueError, SystemError) as error:  # which the parser lets through
            raise WireError(f"an answer cannot be read: {error}") from None
        return answers
