"""Pages of a room's stream in the engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from rooms.brokers.base import KEY_SECONDS
from rooms.brokers.redis_calls import Call
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_messages import BadMessage, decode_body
from rooms.brokers.redis_scripts import PAGE
from rooms.core.history import Page, Retention, page_offsets
from rooms.errors import Unrecoverable
from rooms.protocol.commands import Position

LONGEST_SECONDS = 1e10
"""For which anything is kept: what is to be kept for ever is kept for centuries."""


class Entry(NamedTuple):
    """A publication as the stream has it."""

    offset: int
    stamp: bytes
    body: bytes


class Found(NamedTuple):
    """What a stream says.

    Attributes:
        last: Of the room's last publication.
        stamp: Of the publication after which it was looked; empty if it is not kept.
        first: The offset of the oldest that is kept, or of the next to come.
    """

    last: Position
    stamp: bytes
    first: int
    entries: list[Entry]


class Pages:
    """Reads streams; a room that is not known begins to count."""

    def __init__(
        self, engine: Engine, retain: Callable[[str], Retention], ahead: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._retain = retain
        self._ahead = ahead

    def keys(self, room: str) -> list[str]:
        """Return the keys of a room that every script gets."""
        names = self._engine.names
        return [names.room("n", room), names.room("s", room)]

    def life(self, room: str) -> list[str | int]:
        """Return what every script gets: a new epoch, how long a count lives, what to add to the
        engine's time, and how much of the room is kept."""
        retention = self._retain(room)
        kept_seconds = min(retention.seconds, LONGEST_SECONDS)
        seconds = max(self._engine.url.options.ttl, kept_seconds, KEY_SECONDS)
        kept = max(1, int(kept_seconds * 1000))
        return [new_epoch(), int(seconds * 1000), int(self._ahead()), retention.messages, kept]

    async def find(
        self,
        room: str,
        limit: int,
        since: int | None = None,
        before: int | None = None,
        newest_first: bool = False,
    ) -> Found:
        """Return what the stream says.

        Raises:
            Unavailable: The engine is away.
        """
        asked = [-1 if each is None else each for each in (since, before)]
        args = [*self.life(room), *asked, max(limit, 0), int(newest_first)]
        found: Found = await self._engine.call(Call(PAGE, self.keys(room), args, read=_found))
        return found

    async def page(
        self,
        room: str,
        limit: int,
        since: Position | None,
        before: Position | None,
        newest_first: bool,
    ) -> Page:
        """Return a page, as `Broker.history` does."""
        found = await self.find(
            room,
            limit,
            None if since is None else since.offset,
            None if before is None else before.offset,
            newest_first,
        )
        taken, more = page_offsets(found.last, found.first, limit, since, before, newest_first)
        if [entry.offset for entry in found.entries] != list(taken):
            raise Unrecoverable("too_old")  # something has removed a part of the stream
        epoch = found.last.epoch
        try:
            publications = [decode_body(e.body, Position(epoch, e.offset)) for e in found.entries]
        except BadMessage:
            raise Unrecoverable("too_old") from None
        if newest_first:
            publications.reverse()
        return Page(found.last, publications, more)


def _found(answer: list[Any]) -> Found:
    epoch, last, stamp, first, rows = answer
    entries = [Entry(int(row[0].partition(b"-")[0]), row[1][1], row[1][3]) for row in rows]
    return Found(Position(epoch.decode(), last), stamp, first, entries)


def new_epoch() -> str:
    """Return an epoch that no room has had."""
    return secrets.token_hex(6)
