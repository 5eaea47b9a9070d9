"""`rooms.core.tick`: one write a room and member, and everything in its place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rooms.core.tick
from rooms.core.room import Room
from rooms.core.tick import CHUNK, Tick
from rooms.protocol.commands import Position
from tests.core.fakes import FakeMember, TaggedDialect, push

ONE, TWO = TaggedDialect("1"), TaggedDialect("2")


def new_room(name: str = "lobby") -> Room:
    return Room(name, Position("e1", 0))


def flush(tick: Tick) -> int:
    """Flush and return how often that stopped on its way."""
    return sum(1 for _ in tick.flush())


class Lobby:
    """A tick, a room and some members of it."""

    def __init__(self, *names: str) -> None:
        self.tick, self.room = Tick(), new_room()
        self.members = [FakeMember(name, ONE) for name in names]
        for member in self.members:
            self.tick.join(self.room, member)

    def publish(self, *events: str) -> None:
        for event in events:
            self.tick.publish(self.room, push(event))

    def send(self, member: FakeMember, event: str) -> None:
        self.tick.send(member, member.dialect.encode(push(event).message))


# One write.


def test_nothing_is_written_before_the_tick_ends() -> None:
    lobby = Lobby("ana")
    lobby.publish("a")
    lobby.send(lobby.members[0], "b")
    assert lobby.members[0].writes == []


def test_what_a_room_publishes_in_a_tick_is_one_write_for_each_member() -> None:
    lobby = Lobby("ana", "bob")
    lobby.publish("a", "b", "c")
    flush(lobby.tick)
    assert [member.writes for member in lobby.members] == [[b"1:a;1:b;1:c;"]] * 2


def test_all_members_of_a_dialect_share_the_same_bytes() -> None:
    lobby, other = Lobby("ana", "bob"), FakeMember("eve", TWO)
    lobby.tick.join(lobby.room, other)
    lobby.publish("a", "b")
    flush(lobby.tick)
    ana, bob = lobby.members
    assert ana.writes[0] is bob.writes[0]
    assert other.writes == [b"2:a;2:b;"]


def test_replies_keep_their_place_among_publications() -> None:
    lobby = Lobby("ana", "bob")
    ana, bob = lobby.members
    lobby.publish("a")
    lobby.send(ana, "reply")
    lobby.publish("b")
    flush(lobby.tick)
    assert ana.writes == [b"1:a;1:reply;1:b;"]
    assert bob.writes == [b"1:a;1:b;"]


def test_what_comes_from_two_rooms_and_alone_is_merged_in_order() -> None:
    lobby, other = Lobby("ana"), new_room("other")
    (ana,) = lobby.members
    lobby.tick.join(other, ana)
    lobby.publish("a")
    lobby.tick.publish(other, push("b"))
    lobby.send(ana, "c")
    lobby.publish("d")
    flush(lobby.tick)
    assert ana.writes == [b"1:a;1:b;1:c;1:d;"]


def test_who_joins_gets_what_comes_after() -> None:
    lobby, eve = Lobby("ana"), FakeMember("eve", ONE)
    lobby.publish("before")
    lobby.tick.join(lobby.room, eve)
    lobby.send(eve, "joined")
    lobby.publish("after")
    flush(lobby.tick)
    assert eve.writes == [b"1:joined;1:after;"]


def test_who_joins_and_gets_nothing_is_not_written_to() -> None:
    lobby, eve = Lobby("ana"), FakeMember("eve", ONE)
    lobby.publish("before")
    lobby.tick.join(lobby.room, eve)
    flush(lobby.tick)
    assert eve.writes == []


def test_who_leaves_gets_what_came_before() -> None:
    lobby = Lobby("ana")
    (ana,) = lobby.members
    lobby.publish("before")
    lobby.tick.leave(lobby.room, ana)
    lobby.send(ana, "left")
    lobby.publish("after")
    flush(lobby.tick)
    assert ana.writes == [b"1:before;1:left;"]


def test_who_leaves_and_comes_back_misses_what_was_between() -> None:
    lobby = Lobby("ana")
    (ana,) = lobby.members
    lobby.publish("a")
    lobby.tick.leave(lobby.room, ana)
    lobby.publish("b")
    lobby.tick.join(lobby.room, ana)
    lobby.publish("c")
    flush(lobby.tick)
    assert ana.writes == [b"1:a;1:c;"]


def test_a_tick_without_anything_writes_nothing() -> None:
    lobby = Lobby("ana")
    assert flush(lobby.tick) == 0
    lobby.publish("a")
    flush(lobby.tick)
    flush(lobby.tick)
    assert lobby.members[0].writes == [b"1:a;"]


# Waking.


def test_a_tick_wakes_once_when_something_begins_to_wait() -> None:
    lobby, woken = Lobby("ana"), list[str]()
    lobby.tick.wake = lambda: woken.append("up")
    assert not lobby.tick.waiting
    lobby.publish("a", "b")
    lobby.send(lobby.members[0], "c")
    assert lobby.tick.waiting
    assert woken == ["up"]
    flush(lobby.tick)
    assert not lobby.tick.waiting
    lobby.send(lobby.members[0], "d")
    lobby.publish("e")
    assert woken == ["up", "up"]


def test_a_tick_that_nobody_asked_to_wake_is_silent() -> None:
    lobby = Lobby("ana")
    lobby.send(lobby.members[0], "a")
    assert lobby.tick.waiting


# Pauses.


@pytest.mark.parametrize(
    ("members", "stops"), [(1, 0), (CHUNK - 1, 0), (CHUNK, 1), (CHUNK + 1, 1), (3 * CHUNK, 3)]
)
def test_a_flush_stops_after_every_chunk_of_writes(members: int, stops: int) -> None:
    lobby = Lobby(*map(str, range(members)))
    lobby.publish("a")
    assert flush(lobby.tick) == stops
    assert all(member.writes == [b"1:a;"] for member in lobby.members)


def test_a_flush_of_many_replies_stops_too() -> None:
    lobby = Lobby(*map(str, range(2 * CHUNK)))
    for member in lobby.members:
        lobby.send(member, "a")
    assert flush(lobby.tick) == 2


def test_a_flush_of_many_small_rooms_stops_too() -> None:
    tick = Tick()
    for number in range(CHUNK):
        room = new_room(str(number))
        tick.join(room, FakeMember("a", ONE))
        tick.join(room, FakeMember("b", ONE))
        tick.publish(room, push("hi"))
    assert flush(tick) == 2


def test_what_is_published_during_a_stop_belongs_to_the_next_tick() -> None:
    lobby = Lobby(*map(str, range(CHUNK + 1)))
    first, last = lobby.members[0], lobby.members[-1]
    lobby.publish("a")
    stopped = lobby.tick.flush()
    next(stopped)
    lobby.publish("b")
    lobby.send(last, "c")
    assert (first.writes, last.writes) == ([b"1:a;"], [])
    list(stopped)
    assert (first.writes, last.writes) == ([b"1:a;"], [b"1:a;"])
    flush(lobby.tick)
    assert (first.writes, last.writes) == ([b"1:a;", b"1:b;"], [b"1:a;", b"1:b;1:c;"])


# Goodbyes.


def test_who_goes_for_good_gets_everything_at_once() -> None:
    lobby = Lobby("ana", "bob")
    ana, bob = lobby.members
    lobby.publish("a")
    lobby.send(ana, "b")
    lobby.tick.leave(lobby.room, ana)
    lobby.tick.settle(ana)
    assert (ana.writes, bob.writes) == ([b"1:a;1:b;"], [])
    flush(lobby.tick)
    assert (ana.writes, bob.writes) == ([b"1:a;1:b;"], [b"1:a;"])


def test_who_goes_with_nothing_waiting_is_not_written_to() -> None:
    lobby = Lobby("ana")
    (ana,) = lobby.members
    lobby.tick.leave(lobby.room, ana)
    lobby.tick.settle(ana)
    assert ana.writes == []


def test_who_goes_during_a_stop_gets_first_what_the_flush_still_holds() -> None:
    lobby = Lobby(*map(str, range(CHUNK + 2)))
    goes, stays = lobby.members[-1], lobby.members[-2]
    lobby.publish("a")
    stopped = lobby.tick.flush()
    next(stopped)
    lobby.publish("b")
    lobby.tick.leave(lobby.room, goes)
    lobby.send(goes, "bye")
    lobby.tick.settle(goes)
    assert goes.writes == [b"1:a;", b"1:b;1:bye;"]
    list(stopped)
    flush(lobby.tick)
    assert goes.writes == [b"1:a;", b"1:b;1:bye;"]
    assert stays.writes == [b"1:a;", b"1:b;"]


# Whatever happens, in any order.

MEMBERS, ROOMS = 5, 2


class World:
    """A tick beside a model of it: what each member is to get.

    Every message is a number of its own.  ``lanes`` has, for each member and room, what must
    keep its order: the room's publications and what was sent alone.
    """

    def __init__(self) -> None:
        self.tick = Tick()
        self.rooms = [new_room(str(number)) for number in range(ROOMS)]
        self.here = [FakeMember(str(n), ONE if n % 2 else TWO) for n in range(MEMBERS)]
        self.expected: dict[FakeMember, list[str]] = {member: [] for member in self.here}
        self.lanes = {(m, r.name): list[str]() for m in self.here for r in self.rooms}
        self.numbers = 0
        self.stopped: Iterator[None] | None = None
        self.alone: set[FakeMember] = set()  # got something alone, so one write for all
        self.written: dict[FakeMember, int] = {}  # by them, when the flush began

    def next_event(self) -> str:
        self.numbers += 1
        return str(self.numbers)

    def expect(self, member: FakeMember, event: str, rooms: list[Room]) -> None:
        self.expected[member].append(event)
        for room in rooms:
            self.lanes[member, room.name].append(event)

    def publish(self, room: Room) -> None:
        event = self.next_event()
        for member in self.here:
            if member in room:
                self.expect(member, event, [room])
        self.tick.publish(room, push(event))

    def send(self, member: FakeMember) -> None:
        event = self.next_event()
        self.expect(member, event, self.rooms)
        self.alone.add(member)
        self.tick.send(member, member.dialect.encode(push(event).message))

    def toggle(self, member: FakeMember, room: Room) -> None:
        if member in room:
            self.tick.leave(room, member)
        else:
            self.tick.join(room, member)

    def step(self) -> None:
        """Begin a flush, or let one that has stopped go on."""
        if self.stopped is None:
            self.stopped = self.tick.flush()
            self.written = {member: len(member.writes) for member in self.alone}
            self.alone = set()
        if next(self.stopped, self) is self:
            self.stopped = None
            assert all(len(member.writes) == n + 1 for member, n in self.written.items())

    def quit(self, member: FakeMember) -> None:
        for room in self.rooms:
            if member in room:
                self.tick.leave(room, member)
        self.tick.settle(member)
        self.here.remove(member)
        self.alone.discard(member)
        self.written.pop(member, None)
        self.check(member)

    def finish(self) -> None:
        while self.stopped is not None or self.tick.waiting:
            self.step()
        for member in self.expected:
            self.check(member)

    def check(self, member: FakeMember) -> None:
        """Everything is there once, and in order."""
        assert all(member.writes)
        parts = b"".join(member.writes).decode().split(";")[:-1]
        tags, events = zip(*(part.split(":") for part in parts), strict=True) if parts else ((), ())
        assert set(tags) <= {member.dialect.tag}  # type: ignore[attr-defined]  # of the fakes
        assert sorted(events) == sorted(self.expected[member])
        for (who, _), lane in self.lanes.items():
            if who is member:
                assert [event for event in events if event in lane] == lane


steps = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "send", "toggle", "toggle", "step", "quit"]),
        st.integers(0, MEMBERS - 1),
        st.integers(0, ROOMS - 1),
    ),
    max_size=40,
)


def act(world: World, action: str, member: FakeMember, room: Room) -> None:
    match action:
        case "publish":
            world.publish(room)
        case "send":
            world.send(member)
        case "toggle":
            world.toggle(member, room)
        case "step":
            world.step()
        case "quit":
            world.quit(member)


@given(steps, st.integers(1, 4))
def test_every_member_gets_once_and_in_order_what_was_published_while_it_was_one(
    steps: list[tuple[str, int, int]], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms.core.tick, "CHUNK", chunk)
        world = World()
        for room in world.rooms:
            for member in world.here:
                world.toggle(member, room)
        for action, member_number, room_number in steps:
            if world.here:
                member = world.here[member_number % len(world.here)]
                act(world, action, member, world.rooms[room_number])
        world.finish()
