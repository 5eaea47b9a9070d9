"""The judge of a chaos run finds what is wrong."""

from __future__ import annotations

import pytest

from scripts.chaos_run.record import Record, RoomRecord, Stay

ROOM = "room/1"


@pytest.fixture
def record() -> Record:
    """A room where ``a`` and ``b`` were published and heard."""
    found = Record({ROOM: RoomRecord(ROOM)})
    for offset, payload in enumerate("ab", 1):
        found.hear(ROOM, ["e1", offset], payload)
        found.acknowledge(ROOM, payload, ["e1", offset])
    return found


def whole(last: int, epoch: str = "e1") -> Stay:
    """Return a stay from the beginning of an epoch."""
    return Stay(epoch, 0, last, "joined")


def test_all_is_well_where_all_heard_the_same(record: Record) -> None:
    record.judge(ROOM, [[whole(2)], [whole(2)]], losses=0)
    assert record.troubles == []


def test_another_order_is_found(record: Record) -> None:
    record.hear(ROOM, ["e1", 2], "c")
    record.judge(ROOM, [[whole(2)]], losses=0)
    assert record.troubles == ["room/1: at e1 2 some heard 'b', others 'c'"]


def test_where_the_engine_went_back_another_order_must_be_over(record: Record) -> None:
    record.hear(ROOM, ["e1", 2], "c")
    record.rewinds = 1
    record.judge(ROOM, [[whole(2), whole(0, "e2")]], losses=1)
    assert record.troubles == []
    record.judge(ROOM, [[whole(2)]], losses=1)
    assert len(record.troubles) == 1


def test_what_is_published_twice_in_an_epoch_is_found(record: Record) -> None:
    record.hear(ROOM, ["e2", 1], "a")
    assert record.troubles == []
    record.hear(ROOM, ["e1", 3], "a")
    record.judge(ROOM, [[whole(3)]], losses=0)
    assert record.troubles == ["room/1: at e1 1 and 3 all heard 'a'"]


def test_a_repeat_that_gets_another_position_is_found(record: Record) -> None:
    record.acknowledge(ROOM, "a", ["e2", 1])
    record.acknowledge(ROOM, "a", ["e1", 3])
    record.judge(ROOM, [[whole(2)]], losses=0)
    assert record.troubles == ["room/1: at e1 1 and 3 'a' was acknowledged"]


def test_who_ends_somewhere_else_is_found(record: Record) -> None:
    record.judge(ROOM, [[whole(2)], [whole(1)]], losses=0)
    assert "do not end at one place" in record.troubles[0]


def test_what_was_acknowledged_and_never_heard_is_found(record: Record) -> None:
    record.acknowledge(ROOM, "c", ["e1", 3])
    record.judge(ROOM, [[whole(2)]], losses=0)
    assert record.troubles == ["room/1: nobody heard 'c' at 3 of e1"]


def test_what_was_acknowledged_in_another_place_is_found(record: Record) -> None:
    record.acknowledge(ROOM, "c", ["e1", 2])
    record.judge(ROOM, [[whole(2)]], losses=0)
    assert record.troubles == ["room/1: 'c' was acknowledged, 'b' said"]


def test_a_new_epoch_needs_a_loss(record: Record) -> None:
    stays = [[whole(2), whole(0, "e2")]]
    record.judge(ROOM, stays, losses=1)
    assert record.troubles == []
    record.judge(ROOM, stays, losses=0)
    assert record.troubles == ["room/1: 2 epochs after 0 losses"]


def test_a_gap_within_an_epoch_is_found_unless_nothing_is_kept(record: Record) -> None:
    stays = [[whole(1), Stay("e1", 2, 2, "dropped")]]
    record.judge(ROOM, stays, losses=0)
    assert "a gap within an epoch" in record.troubles[0]
    record.troubles.clear()
    record.rooms[ROOM].keeps = False
    record.judge(ROOM, stays, losses=0)
    assert record.troubles == []


@pytest.mark.parametrize("why", ["epoch_changed", "too_old"])
def test_who_is_told_before_the_nodes_that_the_engine_went_back_is_told_twice(
    record: Record, why: str
) -> None:
    stays = [[whole(1), Stay("e1", 2, 2, why), whole(0, "e2")]]
    record.judge(ROOM, stays, losses=1)
    assert "a gap within an epoch" in record.troubles[0]
    record.troubles.clear()
    record.rewinds = 1
    record.judge(ROOM, stays, losses=1)
    assert record.troubles == []
    record.judge(ROOM, [stays[0][:2]], losses=1)
    assert "a gap within an epoch" in record.troubles[0]
