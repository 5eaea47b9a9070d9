"""What is to happen to a room's messages when one of its members does not read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from rooms.core.outgoing import Outgoing
from rooms.protocol.commands import Dropped, Position, PresenceChange, Publication

SlowPolicy = Literal["disconnect", "drop_oldest", "drop_newest"]


class SlowRule(NamedTuple):
    """What was said of slow members.

    Attributes:
        policy: End the connection, or drop the room's oldest or newest messages that wait for it;
            ``deadline`` ends it because it takes nothing at all, whatever was said.
        rooms: The filter of the rooms that it was said of.
    """

    policy: SlowPolicy | Literal["deadline"]
    rooms: str


DEFAULT_RULE = SlowRule("disconnect", "#")
"""Holds where nothing else was said, and for what a client is sent alone."""


class Portion(NamedTuple):
    """Messages of one room that are written together, and lost together if they are.

    Attributes:
        publications: How many it holds.
        presence: Whether it holds changes of presence, too.
        position: Where the room stood after it.
    """

    room: str
    rule: SlowRule
    publications: int
    presence: bool
    position: Position

    def plus(self, later: Portion) -> Portion:
        """Return this and a later portion of the same room as one."""
        return later._replace(
            publications=self.publications + later.publications,
            presence=self.presence or later.presence,
        )


def portion_of(room: str, rule: SlowRule, pending: Iterable[Outgoing]) -> Portion:
    """Return what is lost of a room if ``pending`` is."""
    count, presence, position = 0, False, Position("", 0)
    for outgoing in pending:
        message = outgoing.message
        if isinstance(message, Publication):
            count, position = count + 1, message.position
        elif isinstance(message, PresenceChange):
            presence, position = True, message.position
        elif isinstance(message, Dropped):
            count, position = count + message.count, message.position
    return Portion(room, rule, count, presence, position)
