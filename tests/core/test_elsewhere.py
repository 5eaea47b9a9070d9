"""`rooms.core.elsewhere`: who is in our rooms by way of other nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rooms.core.elsewhere import Elsewhere, Snapshot
from rooms.core.hub import Hub
from rooms.core.room import NOWHERE
from rooms.core.tick import Tick
from rooms.protocol.bus import Present, RoomChange, RoomsChanged

ANA, BEN = Present("Ana"), Present("Ben")


class Setting:
    """A hub with one room and one other node, ``n``, that has told nothing."""

    def __init__(self) -> None:
        self.hub = Hub(Tick())
        self.room = self.hub.open_room("x", NOWHERE)
        self.elsewhere = Elsewhere(self.hub)
        self.elsewhere.meet("n", 0)

    def hear(self, number: int, whole: bool = False, **clients: Present | None) -> bool:
        """Hear a change in the room."""
        message = RoomsChanged(number, {"x": RoomChange(dict(clients), whole)})
        return self.elsewhere.hear("n", message)

    @property
    def clients(self) -> list[str]:
        """The connections in the room, by name."""
        users = self.room.roster.page(100).users
        return sorted(entry["client"] for entries in users.values() for entry in entries)


@pytest.fixture
def at() -> Setting:
    return Setting()


def test_changes_are_applied_in_order(at: Setting) -> None:
    assert at.hear(1, c1=ANA, c2=ANA)
    assert at.hear(2, c1=None, c3=BEN)
    assert at.clients == ["c2", "c3"]
    assert at.hear(3, whole=True, c4=BEN)
    assert at.clients == ["c4"]


def test_a_gap_is_noticed_and_what_came_after_is_applied(at: Setting) -> None:
    at.hear(1, c1=ANA)
    assert not at.hear(3, c3=BEN)
    assert at.clients == ["c1", "c3"]
    assert at.hear(4, c3=None)


def test_what_is_heard_twice_counts_once(at: Setting) -> None:
    at.hear(1, c1=ANA)
    at.hear(2, c1=None)
    assert at.hear(1, c1=ANA)
    assert at.clients == []


def test_who_changes_the_user_left_and_joined(at: Setting) -> None:
    at.hear(1, c1=ANA)
    at.hear(2, c1=BEN)
    assert at.room.roster.page(9).users == {"Ben": [{"client": "c1"}]}


def test_nodes_that_are_not_known_and_rooms_that_are_not_open_change_nothing(at: Setting) -> None:
    assert at.elsewhere.hear("m", RoomsChanged(5, {"x": RoomChange({"c1": ANA})}))
    assert at.elsewhere.hear("n", RoomsChanged(1, {"y": RoomChange({"c1": ANA})}))
    assert at.clients == []


def test_what_was_read_takes_the_place_of_what_was_known(at: Setting) -> None:
    at.hear(1, c1=ANA, c2=BEN)
    reading = at.elsewhere.begin([("x", "n")])
    at.elsewhere.finish(reading, {("x", "n"): Snapshot(9, {"c2": BEN, "c3": ANA})})
    assert at.clients == ["c2", "c3"]


def test_what_is_heard_while_reading_counts_if_it_is_newer(at: Setting) -> None:
    reading = at.elsewhere.begin([("x", "n")])
    at.hear(1, c1=ANA)
    at.hear(2, c1=None, c2=BEN)
    at.elsewhere.finish(reading, {("x", "n"): Snapshot(1, {"c1": ANA})})
    assert at.clients == ["c2"]


def test_what_is_heard_while_reading_does_not_undo_what_was_read(at: Setting) -> None:
    reading = at.elsewhere.begin([("x", "n")])
    at.hear(1, c1=ANA)
    at.elsewhere.finish(reading, {("x", "n"): Snapshot(2, {})})
    assert at.clients == []


def test_a_reading_that_failed_changes_nothing(at: Setting) -> None:
    at.hear(1, c1=ANA)
    at.elsewhere.finish(at.elsewhere.begin([("x", "n")]), {})
    assert at.clients == ["c1"]


def test_what_was_read_of_a_node_that_is_gone_or_a_room_that_is_closed_is_dropped(
    at: Setting,
) -> None:
    reading = at.elsewhere.begin([("x", "n"), ("y", "n")])
    list(at.elsewhere.drop("n"))
    read = {(room, "n"): Snapshot(1, {"c1": ANA}) for room in ("x", "y")}
    at.elsewhere.finish(reading, read)
    assert at.clients == []


def test_a_node_that_is_dropped_takes_its_connections_along(at: Setting) -> None:
    at.elsewhere.meet("m", 0)
    at.hear(1, c1=ANA)
    at.elsewhere.hear("m", RoomsChanged(1, {"x": RoomChange({"c9": ANA})}))
    list(at.elsewhere.drop("n"))
    assert at.clients == ["c9"]
    assert list(at.elsewhere) == ["m"]
    list(at.elsewhere.drop("unknown"))


def test_a_room_that_is_opened_again_begins_without_anybody(at: Setting) -> None:
    at.hear(1, c1=ANA)
    assert at.hub.release(at.room)
    at.elsewhere.close_room("x")
    at.room = at.hub.open_room("x", NOWHERE)
    at.hear(2, c2=BEN)
    assert at.clients == ["c2"]


def test_who_is_on_a_node_that_ended_in_order_may_come_back(at: Setting) -> None:
    at.hear(1, c1=ANA, c2=BEN)
    (parted,) = at.elsewhere.part("n")
    assert at.clients == ["c1", "c2"]
    assert list(at.elsewhere) == []
    at.hub.join_elsewhere(at.room, "c3", "Ana", None)
    assert at.clients == ["c2", "c3"]
    for room, client, user in parted:
        at.hub.forget(room, client, user)
    assert at.clients == ["c3"]


@pytest.mark.parametrize("leave", [Elsewhere.drop, Elsewhere.part])
def test_a_room_may_be_closed_and_opened_again_while_a_node_goes(
    at: Setting, leave: Callable[[Elsewhere, str], Iterator[object]]
) -> None:
    at.hub.open_room("y", NOWHERE)
    at.elsewhere.hear("n", RoomsChanged(1, {"y": RoomChange({"c1": ANA})}))
    at.hear(2, c1=ANA)
    going = leave(at.elsewhere, "n")
    next(going)  # after one room others run
    assert at.hub.release(at.room)
    at.elsewhere.close_room("x")
    at.room = at.hub.open_room("x", NOWHERE)
    assert list(going) == []
    assert at.clients == []
