"""What was revoked, where it outlasts this node: written to the broker, and learnt from it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, get_args

import msgspec
import structlog
import trio

from rooms.brokers.notes import Note, Notes
from rooms.errors import ConfigError, Unavailable
from rooms.protocol.bus import BadMessage, Noted
from rooms.server.endings import end_revoked
from rooms.server.revocations import Kind, Revocation

if TYPE_CHECKING:
    from rooms.server.node import Node

AT_ONCE = 100
"""How many are written, and told, at a time."""

LONGEST_SECONDS = 10 * 366 * 24 * 60 * 60
"""How long anything is kept at most."""

RETRY_SECONDS = 1.0
"""How long to wait before something that was not available is tried again."""

LEAVE_SECONDS = 2.0
"""How long a node that ends may take to write the last of it."""

log = structlog.get_logger("rooms")


class SharedRevocations:
    """Writes to the notes what is revoked here, and learns from them what was revoked elsewhere.

    It is written before the others are told, and a node that starts hears the others before it
    reads: so it misses nothing in between.
    """

    def __init__(self, node: Node, notes: Notes) -> None:
        self._node = node
        self._revocations = node.revocations
        self._notes = notes
        self._waiting = trio.Event()
        self._stale = False
        node.revocations.changed = self._wake

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Know what was revoked before, and keep what is from now on, while the block runs.

        Raises:
            ConfigError: What was revoked cannot be read.
        """
        self._stale = False
        try:
            await self._learn()
        except Unavailable as error:
            raise ConfigError(f"What was revoked cannot be read: {error}") from None
        async with trio.open_nursery() as nursery:
            working = trio.CancelScope(shield=True)
            nursery.start_soon(self._work, working)
            try:
                yield
            finally:
                working.cancel()
                with trio.move_on_after(LEAVE_SECONDS, shield=True):
                    await self._leave()

    def read_again(self) -> None:
        """Read what was revoked once more, soon: word of something may have been lost."""
        self._stale = True
        self._wake()

    def hear(self, message: Noted) -> None:
        """Learn what another node has told."""
        now = time.time()
        for name, since, seconds in message.notes:
            self._take(name, since, seconds, now)
        end_revoked(self._node)

    def _wake(self) -> None:
        self._waiting.set()

    async def _work(self, working: trio.CancelScope) -> None:
        with working:
            while True:
                await self._waiting.wait()
                try:
                    await self._flush()
                except Unavailable:
                    await trio.sleep(RETRY_SECONDS)

    async def _leave(self) -> None:
        try:
            await self._flush()
        except Unavailable as error:
            log.error("not all that was revoked is kept", problem=error.message)

    async def _flush(self) -> None:
        """Do all that waits.

        Raises:
            Unavailable: It could not be done; what was not still waits.
        """
        while self._stale:
            self._stale = False
            try:
                await self._learn()
            except Unavailable:
                self._stale = True
                raise
            end_revoked(self._node)
        while some := self._revocations.unsaid(AT_ONCE):
            now = time.time()
            told = [(_name(each), each.since, _left(each, now)) for each in some]
            await self._notes.write([_note(*each) for each in told])
            await self._tell(Noted(told))
            self._revocations.said(some)
        if not self._stale:
            self._waiting = trio.Event()

    async def _tell(self, message: Noted) -> None:
        if self._node.cluster is not None:
            with suppress(BadMessage):  # who starts later reads it, however large it is
                await self._node.cluster.tell_all(message)

    async def _learn(self) -> None:
        now = time.time()
        for note in await self._notes.read():
            with suppress(ValueError):  # it is nobody's of ours
                self._take(note.name, float(note.value), note.seconds, now)

    def _take(self, name: str, since: float, seconds: float, now: float) -> None:
        kind, _, rest = name.partition(" ")
        for known in get_args(Kind):
            if kind == known:
                self._revocations.learn(Revocation(known, rest, now + seconds, since), now)


def _name(revocation: Revocation) -> str:
    return f"{revocation.kind} {revocation.name}"


def _left(revocation: Revocation, now: float) -> float:
    return min(revocation.until - now, LONGEST_SECONDS)


def _note(name: str, since: float, seconds: float) -> Note:
    return Note(name, msgspec.json.encode(since), seconds)
