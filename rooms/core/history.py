"""What a room remembers: its count, and the last of what was published in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import UNSET, Raw, Struct, UnsetType

from rooms.errors import Unrecoverable
from rooms.protocol.commands import Origin, Position, Publication


class Retention(Struct, frozen=True):
    """How much of a room is kept: the last ``messages``, each for ``seconds``."""

    messages: int
    seconds: float


NOTHING = Retention(0, 0)


class Page(Struct, frozen=True):
    """A piece of a room's history.

    Attributes:
        position: Of the room's last publication, whether it is in the page or not.
        more: Whether there is more of what was asked for behind the page.
    """

    position: Position
    publications: list[Publication]
    more: bool = False


class Kept(Struct, frozen=True, gc=False):
    """A publication as it is stored: what its place in the stream says is left out.

    Attributes:
        payload: A copy: what was decoded holds on to the whole message that it came in.
    """

    time: float
    event: str
    payload: Raw
    sender: Origin | UnsetType = UNSET


class Stream:
    """One room's publications: counts all of them and keeps the last.

    Times are seconds of any clock that only goes forward; the caller says what time it is.

    Attributes:
        position: Of the last publication.
        used_at: When something was last published or asked for.
    """

    __slots__ = ("_kept", "position", "retention", "room", "used_at")

    def __init__(self, room: str, position: Position, retention: Retention = NOTHING) -> None:
        self.room = room
        self.position = position
        self.retention = retention
        self.used_at = 0.0
        self._kept: deque[Kept] = deque(maxlen=retention.messages)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def first(self) -> int:
        """The offset of the oldest publication that is kept, or of the next one to come."""
        return self.position.offset - len(self._kept) + 1

    def advance(self) -> Position:
        """Count one more publication and return its position."""
        last = self.position
        self.position = position = Position(last.epoch, last.offset + 1)
        return position

    def keep(self, kept: Kept) -> None:
        """Keep the publication that was counted last; the oldest makes room for it."""
        self.used_at = kept.time
        self._kept.append(kept)

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        kept, oldest = self._kept, now - self.retention.seconds
        while kept and kept[0].time <= oldest:
            kept.popleft()

    def page(
        self,
        now: float,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return what was published after ``since`` and before ``before``.

        Args:
            limit: The most publications in the page.
            newest_first: Begin at the newest and go back.

        Raises:
            Unrecoverable: Something after ``since`` is not kept any more, or a position is not of
                this stream.
        """
        self.expire(now)
        self.used_at = max(self.used_at, now)
        taken, more = page_offsets(self.position, self.first, limit, since, before, newest_first)
        publications = list(self._read(taken))
        if newest_first:
            publications.reverse()
        return Page(self.position, publications, more)

    def _read(self, offsets: range) -> Iterator[Publication]:
        begin = offsets.start - self.first
        kept = islice(self._kept, begin, begin + len(offsets))
        for offset, entry in zip(offsets, kept, strict=True):
            yield publication(self.room, Position(self.position.epoch, offset), entry)


def page_offsets(
    last: Position,
    first: int,
    limit: int,
    since: Position | None = None,
    before: Position | None = None,
    newest_first: bool = False,
) -> tuple[range, bool]:
    """Return the offsets of a page, counting up, and whether there is more behind it.

    Args:
        last: Where the room stands.
        first: The offset of the oldest publication that is kept, or of the next one to come.

    Raises:
        Unrecoverable: As `Stream.page`.
    """
    for position in (since, before):
        if position is not None and not _is_of(position, last):
            raise Unrecoverable("epoch_changed")
    if since is not None and since.offset < first - 1:
        raise Unrecoverable("too_old")
    start = first if since is None else since.offset + 1
    end = last.offset + 1 if before is None else before.offset
    offsets = range(start, max(start, end))
    size = min(max(limit, 0), len(offsets))
    taken = offsets[len(offsets) - size :] if newest_first else offsets[:size]
    return taken, len(taken) < len(offsets)


def _is_of(position: Position, last: Position) -> bool:
    return position.epoch == last.epoch and 0 <= position.offset <= last.offset


def publication(room: str, position: Position, kept: Kept) -> Publication:
    """Return the publication that was stored as ``kept``."""
    return Publication(
        event=kept.event,
        room=room,
        payload=kept.payload,
        sender=kept.sender,
        position=position,
    )
