"""One room: its members and what is waiting to be written to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from rooms.core.outgoing import Outgoing
from rooms.core.presence import PresenceMode, Roster
from rooms.core.slow import Portion, SlowRule
from rooms.protocol.commands import Position, Publication
from rooms.protocol.dialects.base import Dialect

NOWHERE = Position("", 0)
"""Where a room stands before the broker has said it."""

Listener = Callable[[Publication], None]


class Write(Protocol):
    """Writes whole frames to one client, after all that came before; see `Member`."""

    def __call__(self, frames: bytes, portion: Portion | None = None, /) -> None: ...


class Member(Protocol):
    """What a room needs of a connection; ``write`` never blocks and never raises."""

    @property
    def id(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    def write(self, frames: bytes, portion: Portion | None = None, /) -> None:
        """Write whole frames, after all that came before.

        Args:
            portion: What of a room is in them, if the room has a rule for slow members.
        """
        ...


class Room:
    """Who is in one room.  Plain ``def`` only, so no other task can run in between.

    Attributes:
        members: By dialect, each with the tick's order at which it joined: it gets what came
            after.
        pending: What was published in this tick.
        position: Of the last publication that was delivered here.
        slow: What was said of members that do not read, if anything was.
    """

    __slots__ = ("listeners", "members", "name", "pending", "position", "roster", "slow")

    def __init__(
        self,
        name: str,
        position: Position,
        presence: PresenceMode = "users",
        slow: SlowRule | None = None,
    ) -> None:
        self.name = name
        self.position = position
        self.members: dict[Dialect, dict[Member, int]] = {}
        self.listeners: list[Listener] = []
        self.roster = Roster(presence)
        self.pending: list[Outgoing] = []
        self.slow = slow

    def __repr__(self) -> str:
        return f"<Room {self.name!r}, {len(self)} members>"

    def __len__(self) -> int:
        return sum(map(len, self.members.values()))

    def __iter__(self) -> Iterator[Member]:
        for members in self.members.values():
            yield from members

    def __contains__(self, member: Member) -> bool:
        return member in self.members.get(member.dialect, ())

    def add(self, member: Member, order: int) -> None:
        """Note a new member."""
        self.members.setdefault(member.dialect, {})[member] = order

    def remove(self, member: Member) -> int:
        """Forget a member and return the order at which it joined."""
        members = self.members[member.dialect]
        order = members.pop(member)
        if not members:
            del self.members[member.dialect]
        return order

    def settle(self, position: Position) -> None:
        """Note where the broker says that the room stood, unless it has moved on since."""
        if self.position < position or self.position.epoch != position.epoch:
            self.position = position

    @property
    def empty(self) -> bool:
        """Whether nobody here would notice if the room were gone."""
        return not self.members and not self.listeners and not self.roster.lingers
