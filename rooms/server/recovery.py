"""What a client missed, told when it comes back: all of it, or honestly not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from rooms.core.history import Page
from rooms.core.room import Room
from rooms.errors import Unrecoverable
from rooms.protocol.commands import Position, Publication

if TYPE_CHECKING:
    from rooms.server.node import Node

PAGE_MESSAGES = 100
"""The most publications in one frame."""

PAGE_BYTES = 64 * 1024
"""A frame takes no further publication when its payloads have this size."""


class Recovery(Struct, frozen=True):
    """What a client is told of the time that it was away.

    Attributes:
        missed: Everything that was published since, if that can be told.
        reason: Why it cannot be told, else None.
    """

    missed: list[Publication]
    reason: str | None = None


UNREADABLE = Recovery([], "forbidden")
"""For a member that may not read what was published before."""


def recover_now(node: Node, room: str, since: Position) -> Recovery:
    """Return what was published in ``room`` since a position.

    Raises:
        trio.WouldBlock: The broker must be waited for; use `recover`.
    """
    limit = node.settings.recovery_messages
    try:
        page = node.broker.history_nowait(room, limit, since)
    except Unrecoverable as error:
        return Recovery([], error.reason)
    opened = node.hub.rooms.get(room)
    if opened is not None and opened.position != page.position:
        raise trio.WouldBlock  # what is on its way to the room would come twice
    return _recovery(node, since, page)


async def recover(node: Node, room: Room, since: Position) -> Recovery:
    """As `recover_now`, for a room that is open here; it is complete up to the room's position.

    What the broker delivers meanwhile is collected, so there is no gap between the history and
    what the client gets once it is a member, and nothing comes twice.
    """
    limit = node.settings.recovery_messages
    with _collecting(room, limit) as collected:
        try:
            page = await node.broker.history(room.name, limit, since)
        except Unrecoverable as error:
            return Recovery([], error.reason)
        while _behind(room.position, page.position):
            await collected.changed()
    if room.position.epoch != page.position.epoch:
        return Recovery([], "epoch_changed")
    later = [each for each in collected.publications if each.position > page.position]
    missed = page.publications + later
    more = page.more or len(missed) > limit
    return _recovery(node, since, Page(room.position, missed, more))


def pages(publications: list[Publication]) -> Iterator[list[Publication]]:
    """Yield runs of ``publications`` that make frames of moderate size; at least one."""
    page: list[Publication] = []
    size = 0
    for publication in publications:
        if page and (len(page) == PAGE_MESSAGES or size >= PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(publication)
        size += len(publication.payload)
    yield page


class _Collected:
    """What was delivered last in a room while somebody waited, one more than is of use."""

    def __init__(self, limit: int) -> None:
        self.publications: deque[Publication] = deque(maxlen=limit + 1)
        self._event = trio.Event()

    def add(self, publication: Publication) -> None:
        self.publications.append(publication)
        self._event.set()

    async def changed(self) -> None:
        self._event = trio.Event()
        await self._event.wait()


@contextmanager
def _collecting(room: Room, limit: int) -> Iterator[_Collected]:
    collected = _Collected(limit)
    room.listeners.append(collected.add)
    try:
        yield collected
    finally:
        room.listeners.remove(collected.add)


def _behind(here: Position, there: Position) -> bool:
    return here.epoch == there.epoch and here.offset < there.offset


def _recovery(node: Node, since: Position, page: Page) -> Recovery:
    """Return what is told of a page that is to hold everything after ``since``."""
    size = sum(len(each.payload) for each in page.publications)
    if page.more or size > node.settings.recovery_bytes:
        return Recovery([], "too_many")
    if len(page.publications) != page.position.offset - since.offset:
        return Recovery([], "too_old")  # a gap is never passed over in silence
    return Recovery(page.publications)
