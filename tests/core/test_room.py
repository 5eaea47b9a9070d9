"""`rooms.core.room`: who is in one room."""

from __future__ import annotations

import pytest

from rooms.core.room import Room
from rooms.protocol.commands import Position, Publication
from tests.core.fakes import FakeMember, TaggedDialect


def new_room() -> Room:
    return Room("lobby", Position("e1", 3))


def test_a_new_room_is_empty_and_stands_where_it_was_opened() -> None:
    room = new_room()
    assert room.empty
    assert len(room) == 0
    assert room.position == Position("e1", 3)
    assert room.pending == []
    assert repr(room) == "<Room 'lobby', 0 members>"


def test_members_are_found_and_counted_whatever_their_dialect() -> None:
    room, other = new_room(), TaggedDialect("x")
    ana, bob, eve = FakeMember("ana"), FakeMember("bob", other), FakeMember("eve", other)
    room.add(ana, 1)
    room.add(bob, 2)
    assert ana in room
    assert bob in room
    assert eve not in room
    assert len(room) == 2
    assert set(room) == {ana, bob}
    assert not room.empty


def test_a_member_that_goes_leaves_its_order_and_nothing_else() -> None:
    room, ana = new_room(), FakeMember("ana")
    room.add(ana, 7)
    assert room.remove(ana) == 7
    assert room.empty
    assert ana not in room
    with pytest.raises(KeyError):
        room.remove(ana)


def test_a_dialect_is_kept_while_somebody_speaks_it() -> None:
    room, ana, bob = new_room(), FakeMember("ana"), FakeMember("bob")
    room.add(ana, 1)
    room.add(bob, 2)
    room.remove(ana)
    assert list(room.members) == [bob.dialect]
    room.remove(bob)
    assert not room.members


def test_a_room_with_a_listener_is_not_empty() -> None:
    room = new_room()

    def listen(publication: Publication) -> None:
        """Hear nothing."""

    room.listeners.append(listen)
    assert not room.empty
