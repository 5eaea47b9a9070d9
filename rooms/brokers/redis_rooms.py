"""What a node has heard of one room, and what is missing: order without a clock or a network."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import trio

from rooms.brokers.redis_messages import Arrived, BadMessage, decode
from rooms.protocol.commands import Position

HELD = 256
"""The most messages of a room that wait for what came before them; more are read again."""


class Verdict(Enum):
    """What is to be done with a message."""

    DELIVER = "deliver"
    DROP = "drop"
    HOLD = "hold"


class Heard:
    """What came of a room, in the order of its positions.

    While something is missing nothing is delivered: what comes is held, until `catch up` is done.

    Attributes:
        position: Of the last publication that was delivered; None before the first is known.
        stamp: Of that publication: two publications at one position have different ones.
        behind: Whether something may be missing.
        subscribed: Whether the engine has said that messages come.
        settled: Set once `position` is known and messages come.
    """

    __slots__ = (
        "_deliver",
        "_held",
        "_note",
        "_wake",
        "behind",
        "position",
        "room",
        "settled",
        "stamp",
    )

    def __init__(
        self,
        room: str,
        deliver: Callable[[Arrived], None],
        wake: Callable[[Heard], None],
        note: Callable[[str, BadMessage], None],
    ) -> None:
        self.room = room
        self.position: Position | None = None
        self.stamp = b""
        self.behind = False
        self.settled = trio.Event()
        self._held: list[Arrived] = []
        self._deliver = deliver
        self._wake = wake
        self._note = note

    def hear(self, data: bytes) -> None:
        """Take what came on the room's channel."""
        try:
            arrived = decode(data)
        except BadMessage as error:
            self._note(self.room, error)
            if error.reason == "newer":
                self._fall_behind()  # it counts, although it cannot be delivered
            return
        if arrived.publication is not None and arrived.publication.room != self.room:
            self._note(self.room, BadMessage("malformed"))
            return
        self.take(arrived)

    def confirmed(self) -> None:
        """Note that messages come, although some may have been lost before."""
        self._fall_behind()

    def take(self, arrived: Arrived) -> None:
        """Deliver a message, or hold it until what is missing before it is there."""
        if self.behind and self.position is not None:
            if len(self._held) < HELD:
                self._held.append(arrived)
            return
        verdict = self.judge(arrived)
        if verdict is Verdict.DELIVER:
            self.accept(arrived)
        elif verdict is Verdict.HOLD:
            self._held.append(arrived)
            self._fall_behind()

    def judge(self, arrived: Arrived) -> Verdict:
        """Say what is to be done with a message, if nothing else is known."""
        position, last = arrived.position, self.position
        if last is None:
            return Verdict.DELIVER if arrived.publication is not None else Verdict.DROP
        if position.epoch != last.epoch or arrived.publication is None:
            return Verdict.HOLD
        if position.offset <= last.offset:
            return Verdict.DROP
        return Verdict.DELIVER if position.offset == last.offset + 1 else Verdict.HOLD

    def accept(self, arrived: Arrived) -> None:
        """Deliver a message; all that comes before it has been."""
        self.position, self.stamp = arrived.position, arrived.stamp
        self._deliver(arrived)

    def move(self, position: Position, stamp: bytes) -> None:
        """Go on from another place, without what came before."""
        self.position, self.stamp = position, stamp

    @property
    def held(self) -> int:
        """How many messages wait for what came before them."""
        return len(self._held)

    def forget_foreign(self, held: int, last: Position) -> None:
        """Drop what does not belong to the room as it is: it would be waited for, for ever.

        Args:
            held: How many messages were held before the engine said what was the ``last``.
        """
        early, late = self._held[:held], self._held[held:]
        for arrived in early:
            if _is_beyond(arrived.position, last):
                self._note(self.room, BadMessage("malformed"))
        self._held = [each for each in early if _belongs(each, last)] + late

    def release(self) -> bool:
        """Deliver what was held, and say whether nothing is missing any more."""
        held, self._held = self._held, []
        full = len(held) == HELD
        self.behind = False
        for arrived in held:
            self.take(arrived)
        if full:
            self._fall_behind()
        return not self.behind

    def first_held(self, epoch: str) -> int | None:
        """Return the first offset of an epoch that is held."""
        offsets = (held.position.offset for held in self._held if held.position.epoch == epoch)
        return next(offsets, None)

    def _fall_behind(self) -> None:
        if not self.behind:
            self.behind = True
            self._wake(self)


def _belongs(arrived: Arrived, last: Position) -> bool:
    """Whether a message is of the life of a room whose ``last`` position that is."""
    position = arrived.position
    same = position.epoch == last.epoch and not _is_beyond(position, last)
    return same and arrived.publication is not None


def _is_beyond(position: Position, last: Position) -> bool:
    """Whether a position of the same epoch has not been reached yet."""
    return position.epoch == last.epoch and position.offset > last.offset
