"""What is to be written at the end of a tick: joined once a room, in order for every client.

A tick is the time in which one batch of input is handled.  Nothing is written while it lasts.  At
its end each room's publications are encoded and joined once, and every member gets the same bytes
by one write.  A client to whom something was sent alone gets that and its rooms' publications
merged, in the order in which they were made; only what a slow member may lose is kept apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import groupby

from rooms.core.outgoing import Outgoing
from rooms.core.room import Member, Room
from rooms.core.slow import Portion, portion_of
from rooms.protocol.dialects.base import Dialect

CHUNK = 256
"""Writes between two pauses: about one millisecond of system calls."""


def _nobody() -> None:
    """Wake nobody: whoever uses the tick flushes it."""


Own = list[tuple[int, bytes, Portion | None]]
Batch = tuple[bytes, list[Member], Portion | None]


class Tick:
    """Collects what is published and sent, and writes it when the tick ends.

    Attributes:
        size: Bytes of payloads that were published in this tick.
        wake: Called when something begins to wait.
    """

    def __init__(self) -> None:
        self.order = 0
        self.size = 0
        self.wake: Callable[[], object] = _nobody
        self._rooms: list[Room] = []
        self._own: dict[Member, Own] = {}
        # of a flush that has stopped on its way:
        self._unwritten: deque[Batch] = deque()
        self._own_unwritten: dict[Member, Own] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._rooms or self._own)

    def owes(self, member: Member) -> bool:
        """Whether something was sent to one client that is not written yet."""
        return member in self._own or member in self._own_unwritten

    def publish(self, room: Room, outgoing: Outgoing) -> None:
        """Have ``outgoing`` written to everybody who is a member of ``room`` now."""
        self.order = outgoing.order = self.order + 1
        if not room.pending:
            if not self._rooms and not self._own:
                self.wake()
            self._rooms.append(room)
        room.pending.append(outgoing)

    def send(self, member: Member, frames: bytes, portion: Portion | None = None) -> None:
        """Have ``frames`` written to one client, after what it was to get before.

        Args:
            portion: What of a room is in them; without it they are never lost.
        """
        self.order += 1
        own = self._own.get(member)
        if own is None:
            if not self._own and not self._rooms:
                self.wake()
            self._own[member] = [(self.order, frames, portion)]
        else:
            own.append((self.order, frames, portion))

    def join(self, room: Room, member: Member) -> None:
        """Make ``member`` get what is published in ``room`` from now on."""
        room.add(member, self.order)
        if room.pending:
            self._own.setdefault(member, [])

    def leave(self, room: Room, member: Member) -> None:
        """Make ``member`` get what was published in ``room`` up to now, and nothing more."""
        joined = room.remove(member)
        if room.pending:
            self._own.setdefault(member, []).extend(_missing(room, room.pending, member, joined))

    def settle(self, member: Member) -> None:
        """Write at once what waits for one client that is about to leave for good."""
        for frames, members, portion in self._unwritten:
            if member in members:
                members.remove(member)
                member.write(frames, portion)
        for own in (self._own_unwritten, self._own):
            if alone := own.pop(member, None):
                _write_own(member, alone)

    def flush(self) -> Iterator[None]:
        """Write everything; stops after every `CHUNK` writes, so that others may run.

        What is published during such a stop belongs to the next tick.
        """
        self._take()
        written = 0
        while self._unwritten:
            frames, members, portion = self._unwritten.popleft()
            for member in members:
                member.write(frames, portion)
            written += len(members)
            if written >= CHUNK:
                written = 0
                yield
        for member in tuple(self._own_unwritten):
            if alone := self._own_unwritten.pop(member, None):
                _write_own(member, alone)
                written += 1
                if written == CHUNK:
                    written = 0
                    yield

    def _take(self) -> None:
        """Settle who gets which bytes now, before anything else can change."""
        rooms, self._rooms = self._rooms, []
        own, self._own = self._own, {}
        self.size = 0
        for room in rooms:
            pending, room.pending = room.pending, []
            portion = None if room.slow is None else portion_of(room.name, room.slow, pending)
            for dialect, members in room.members.items():
                receivers = _without_own(room, pending, members, own) if own else list(members)
                if receivers and (frames := _join(pending, dialect)):
                    self._add_batch(frames, receivers, portion)
        self._own_unwritten = own

    def _add_batch(self, frames: bytes, receivers: list[Member], portion: Portion | None) -> None:
        if len(receivers) <= CHUNK:
            self._unwritten.append((frames, receivers, portion))
            return
        for start in range(0, len(receivers), CHUNK):
            self._unwritten.append((frames, receivers[start : start + CHUNK], portion))


def _without_own(
    room: Room, pending: list[Outgoing], members: dict[Member, int], own: dict[Member, Own]
) -> list[Member]:
    """Return the members who get nothing else; the others' ``own`` gets what is pending, too."""
    fewer, more = (own, members) if len(own) < len(members) else (members, own)
    for member in fewer:
        if member in more:
            own[member].extend(_missing(room, pending, member, members[member]))
    return [member for member in members if member not in own]


def _join(pending: list[Outgoing], dialect: Dialect) -> bytes:
    if len(pending) == 1:
        return pending[0].frame(dialect)
    return b"".join([outgoing.frame(dialect) for outgoing in pending])


def _missing(room: Room, pending: list[Outgoing], member: Member, joined: int) -> Own:
    """Return what a member is to get of a room's pending publications."""
    dialect, rule = member.dialect, room.slow
    own: Own = []
    for outgoing in pending:
        if outgoing.order > joined and (frames := outgoing.frame(dialect)):
            portion = None if rule is None else portion_of(room.name, rule, [outgoing])
            own.append((outgoing.order, frames, portion))
    return own


def _write_own(member: Member, own: Own) -> None:
    """Write what one client gets in a tick, by one write if nothing of it may be lost."""
    if len(own) == 1:
        member.write(own[0][1], own[0][2])
        return
    own.sort(key=_order)
    for _, _, portion in own:
        if portion is not None:
            break
    else:
        member.write(b"".join([frames for _, frames, _ in own]), None)
        return
    for _, run in groupby(own, key=_room):
        entries = list(run)
        member.write(b"".join([frames for _, frames, _ in entries]), _sum(entries))


def _order(entry: tuple[int, bytes, Portion | None]) -> int:
    return entry[0]


def _room(entry: tuple[int, bytes, Portion | None]) -> str | None:
    portion = entry[2]
    return None if portion is None else portion.room


def _sum(entries: Own) -> Portion | None:
    """Return the portions of one room as one."""
    portions = [portion for _, _, portion in entries if portion is not None]
    return reduce(Portion.plus, portions) if portions else None
