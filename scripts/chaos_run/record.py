"""What members of rooms were told, and the proof that it fits together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

MOST_TROUBLES = 100


@dataclass
class Stay:
    """What one member heard of a room without a gap: all offsets of an epoch from one to another.

    Attributes:
        why: How it began: by joining for the first time, or with a gap that was told.
    """

    epoch: str
    first: int
    last: int
    why: str


class RoomRecord:
    """What was said in one room, as anybody heard it, and what was acknowledged.

    Attributes:
        keeps: Whether the room has a history.
        said: By epoch and offset.
        acknowledged: By epoch and what was said: the offset.
    """

    def __init__(self, name: str, keeps: bool = True) -> None:
        self.name = name
        self.keeps = keeps
        self.said: dict[tuple[str, int], str] = {}
        self.acknowledged: dict[tuple[str, str], int] = {}
        self._where: dict[tuple[str, str], int] = {}


@dataclass
class Record:
    """What happened to all members of all rooms.

    Attributes:
        troubles: What should not have happened.
        counts: How often things happened that may.
        rewinds: How often the engine went back to what it had held before.
    """

    rooms: dict[str, RoomRecord]
    troubles: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rewinds: int = 0
    _conflicts: list[tuple[str, str, str]] = field(default_factory=list)

    def trouble(self, what: str) -> None:
        """Note what should not have happened."""
        if len(self.troubles) < MOST_TROUBLES:
            self.troubles.append(what)

    def hear(self, room: str, position: list[Any], payload: str) -> None:
        """Note what somebody heard: the same as everybody else, and once in an epoch."""
        epoch, offset = position
        record = self.rooms[room]
        known = record.said.setdefault((epoch, offset), payload)
        if known != payload:
            self._conflict(room, epoch, f"{offset} some heard {known!r}, others {payload!r}")
        where = record._where.setdefault((epoch, payload), offset)
        if where != offset:
            self._conflict(room, epoch, f"{where} and {offset} all heard {payload!r}")
        self.counts["deliveries"] += 1

    def acknowledge(self, room: str, payload: str, position: list[Any]) -> None:
        """Note what a publisher was told; each time the same, in the same epoch."""
        epoch, offset = position
        known = self.rooms[room].acknowledged.setdefault((epoch, payload), offset)
        if known != offset:
            self._conflict(room, epoch, f"{known} and {offset} {payload!r} was acknowledged")

    def _conflict(self, room: str, epoch: str, what: str) -> None:
        """Note that a position, or a publication, has two meanings in an epoch."""
        if len(self._conflicts) < MOST_TROUBLES:
            self._conflicts.append((room, epoch, what))

    def judge(self, room: str, stays: Iterable[list[Stay]], losses: int) -> None:
        """Compare what the members of a room were told, each over all its stays.

        Args:
            losses: How often the engine has lost what it held.
        """
        record, every = self.rooms[room], list(stays)
        ends = {(last.epoch, last.last) for *_, last in every}
        if len(ends) != 1:
            self.trouble(f"{room}: its members do not end at one place: {sorted(ends)}")
            return
        (epoch, last) = ends.pop()
        epochs = {stay.epoch for each in every for stay in each}
        if len(epochs) > 1 + losses:
            self.trouble(f"{room}: {len(epochs)} epochs after {losses} losses")
        self._judge_conflicts(room, epoch)
        if record.keeps:
            self._judge_gaps(room, every, epoch)
            self._judge_acknowledged(record, epoch, last)

    def _judge_conflicts(self, room: str, last: str) -> None:
        """An engine that went back may use positions again until the epoch is over, which is told.

        What lasts has no two meanings.
        """
        for where, epoch, what in self._conflicts:
            if where == room and (epoch == last or not self.rewinds):
                self.trouble(f"{room}: at {epoch} {what}")
            elif where == room:
                self.counts["positions that were used again, as was told"] += 1

    def _judge_gaps(self, room: str, every: list[list[Stay]], last: str) -> None:
        """A gap may be told only where an epoch ended, and must be told there.

        Who comes back to an engine that went back, before any node has seen that it did, is told
        so at once, and of the new epoch when it begins: whether the engine went back behind the
        member's position, or only behind the room's, of which it then has not all.
        """
        for stays in every:
            for before, after in pairwise(stays):
                told = after.why in ("epoch_changed", "too_old")
                ending = self.rewinds and after.epoch != last and told
                if before.epoch == after.epoch and not ending:
                    self.trouble(f"{room}: a gap within an epoch: {before} and {after}")

    def _judge_acknowledged(self, record: RoomRecord, epoch: str, last: int) -> None:
        """Where an epoch was heard to an offset, all that was acknowledged up to it was heard."""
        heard: dict[str, int] = {epoch: last}
        for of, offset in record.said:
            heard[of] = max(heard.get(of, 0), offset)
        for (of, payload), offset in record.acknowledged.items():
            if of == epoch and offset > last:
                self.trouble(f"{record.name}: nobody heard {payload!r} at {offset} of {of}")
            said = record.said.get((of, offset))
            strict = of == epoch or not self.rewinds
            if strict and offset <= heard.get(of, 0) and said not in (payload, None):
                self.trouble(f"{record.name}: {payload!r} was acknowledged, {said!r} said")
