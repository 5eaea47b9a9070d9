"""Whoever says what was seen last gets everything since, once and in order, or is told no."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Raw

from rooms.config import Settings
from rooms.core.history import Kept, Page, Retention, Stream, publication
from rooms.core.hub import Hub
from rooms.core.tick import Tick
from rooms.protocol.commands import Position, Publication
from rooms.server.recovery import recover_now
from rooms.testing.frames import take_frame
from tests.core.fakes import FakeMember

if TYPE_CHECKING:
    from rooms.server.node import Node

ROOM = "lobby"
KEPT, SECONDS, RECOVERED = 6, 10.0, 4

choices = st.integers(0, 100)


class Place:
    """What recovery asks of a node: its settings, its rooms and its broker."""

    def __init__(self) -> None:
        self.settings = Settings(recovery_messages=RECOVERED)
        self.hub = Hub(Tick())
        self.broker = self
        self.now = 0.0
        self.epochs = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Lose the count."""
        self.epochs += 1
        self.published: list[Publication] = []
        self.stream = Stream(ROOM, Position(f"e{self.epochs}", 0), Retention(KEPT, SECONDS))

    def history_nowait(self, room: str, limit: int, since: Position) -> Page:
        return self.stream.page(self.now, limit, since)

    def publish(self) -> None:
        position = self.stream.advance()
        kept = Kept(self.now, "said", Raw(msgspec.json.encode(position)))
        self.stream.keep(kept)
        self.published.append(publication(ROOM, position, kept))
        self.hub.deliver(self.published[-1])


class Visitor:
    """A client that may lose its connection, and with it what it has not read.

    Attributes:
        since: Where it began to see everything.
        seen: The offsets of what it saw since then.
    """

    def __init__(self, number: int) -> None:
        self.name = f"v{number}"
        self.member: FakeMember | None = None
        self.since: Position | None = None
        self.seen: list[int] = []

    @property
    def last(self) -> Position:
        assert self.since is not None
        return Position(self.since.epoch, self.seen[-1] if self.seen else self.since.offset)

    def unread(self) -> bytearray:
        """Take what was written to it."""
        assert self.member is not None
        data = bytearray(b"".join(self.member.writes))
        self.member.writes.clear()
        return data

    def read(self, messages: int) -> None:
        """See that many of the messages that wait."""
        assert self.member is not None
        data = self.unread()
        while messages and (frame := take_frame(data)) is not None:
            messages -= 1
            self.see(msgspec.json.decode(frame.payload, type=Publication))
        self.member.writes.append(bytes(data))

    def see(self, event: Publication) -> None:
        assert self.since is not None
        assert event.position.epoch == self.since.epoch
        assert bytes(event.payload) == msgspec.json.encode(event.position)
        self.seen.append(event.position.offset)

    def forget(self, messages: int) -> None:
        """Have seen less, as a client that did not write everything down."""
        self.seen = self.seen[: max(0, len(self.seen) - messages)]


class RecoveryModel(RuleBasedStateMachine):
    """One room, and visitors who come, are lost and come back with what they saw last."""

    @initialize()
    def open(self) -> None:
        self.place = Place()
        self.visitors: list[Visitor] = []

    def members(self) -> list[Visitor]:
        return [each for each in self.visitors if each.member is not None]

    def absent(self) -> list[Visitor]:
        return [each for each in self.visitors if each.member is None]

    @rule(messages=st.integers(1, 3))
    def publish(self, messages: int) -> None:
        for _ in range(messages):
            self.place.publish()

    @rule()
    def end_the_tick(self) -> None:
        for _ in self.place.hub.tick.flush():
            pass

    @precondition(lambda self: self.members())
    @rule(choice=choices, messages=st.integers(1, 5))
    def read(self, choice: int, messages: int) -> None:
        found = self.members()
        found[choice % len(found)].read(messages)

    @precondition(lambda self: len(self.visitors) < 6)
    @rule()
    def come_for_the_first_time(self) -> None:
        self.visitors.append(visitor := Visitor(len(self.visitors)))
        self.enter(visitor)
        self.start(visitor)

    @precondition(lambda self: self.absent())
    @rule(choice=choices, forgotten=st.sampled_from([0, 0, 0, 1, 3]))
    def come_back(self, choice: int, forgotten: int) -> None:
        visitor = self.absent()[choice % len(self.absent())]
        visitor.forget(forgotten)
        missed = self.recover(visitor.last)
        self.enter(visitor)
        if missed is None:
            self.start(visitor)
        else:
            for each in missed:
                visitor.see(each)
            assert visitor.last == self.place.stream.position

    @rule(epoch=st.sampled_from(["", "e0", "e1", "e2"]), offset=st.integers(-1, 30))
    def ask_with_any_position(self, epoch: str, offset: int) -> None:
        self.recover(Position(epoch, offset))

    @precondition(lambda self: self.members())
    @rule(choice=choices, polite=st.booleans())
    def go(self, choice: int, polite: bool) -> None:
        """Leave, having read everything, or lose the connection and what was not read."""
        visitor = self.members()[choice % len(self.members())]
        assert visitor.member is not None
        room = self.place.hub.rooms[ROOM]
        self.place.hub.leave(room, visitor.member, visitor.name)
        self.place.hub.tick.settle(visitor.member)
        if polite:
            visitor.read(1000)
            assert visitor.last == self.place.stream.position
        visitor.member = None
        self.place.hub.release(room)

    @rule(seconds=st.sampled_from([0.5, 4.0, SECONDS]))
    def pass_time(self, seconds: float) -> None:
        self.place.now += seconds
        self.place.stream.expire(self.place.now)

    @precondition(lambda self: self.place.hub.rooms == {})
    @rule()
    def forget_the_room(self) -> None:
        self.place.begin_anew()

    def start(self, visitor: Visitor) -> None:
        """Have a visitor begin where the room stands."""
        visitor.since, visitor.seen = self.place.stream.position, []

    def enter(self, visitor: Visitor) -> None:
        hub = self.place.hub
        visitor.member = FakeMember(visitor.name)
        hub.join(hub.open_room(ROOM, self.place.stream.position), visitor.member, visitor.name)

    def recover(self, since: Position) -> list[Publication] | None:
        """Return what is told to one who asks, once it is sure that it is right."""
        recovery = recover_now(cast("Node", self.place), ROOM, since)
        expected = self.expected(since)
        if isinstance(expected, str):
            assert (recovery.reason, recovery.missed) == (expected, [])
            return None
        assert recovery.reason is None
        assert [each.position for each in recovery.missed] == [e.position for e in expected]
        return recovery.missed

    def expected(self, since: Position) -> list[Publication] | str:
        """Return what was published since, or why it cannot be told."""
        place, last = self.place, self.place.stream.position
        if since.epoch != last.epoch or not 0 <= since.offset <= last.offset:
            return "epoch_changed"
        missed = place.published[since.offset :]
        if len(missed) > len(place.stream):
            return "too_old"
        return missed if len(missed) <= RECOVERED else "too_many"

    @invariant()
    def everybody_saw_everything_since_they_began(self) -> None:
        for visitor in self.visitors:
            assert visitor.since is not None
            first = visitor.since.offset + 1
            assert visitor.seen == list(range(first, first + len(visitor.seen)))

    @invariant()
    def no_more_is_kept_than_was_said(self) -> None:
        assert len(self.place.stream) <= KEPT
        assert set(self.place.hub.rooms) == ({ROOM} if self.members() else set())

    def teardown(self) -> None:
        """In the end nothing is on its way that somebody did not see."""
        if hasattr(self, "place"):
            self.end_the_tick()
            for visitor in self.members():
                visitor.read(1000)
                assert visitor.last == self.place.stream.position
            self.everybody_saw_everything_since_they_began()


TestRecovery = RecoveryModel.TestCase
TestRecovery.settings = settings(stateful_step_count=40)
