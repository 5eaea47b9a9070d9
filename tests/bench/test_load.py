"""When which room publishes."""

from rooms.bench.connection import Connection
from rooms.bench.load import ClosedLoop, OpenLoop, Room
from rooms.bench.shares import RoomShare

MS = 1_000_000


class Log:
    """Takes publications, as a server that delivers nothing by itself."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int]] = []

    def __call__(self, room: Room, times: list[int]) -> None:
        room.published += len(times)
        self.entries += [(room.share.room, time) for time in times]


def room_with_publisher(number: int = 0, members: int = 2, sharing: int = 1) -> Room:
    """A room whose publisher is in this worker."""
    room = Room(RoomShare(number, members, 0, sharing))
    room.publisher = Connection.__new__(Connection)  # never used, only there
    return room


def test_the_closed_loop_fills_its_window() -> None:
    log, room = Log(), room_with_publisher()
    loop = ClosedLoop(3, log)
    loop.advance([room], 100)
    loop.advance([room], 101)
    assert log.entries == [(0, 100)] * 3


def test_a_publication_is_finished_when_all_members_have_it() -> None:
    log, room = Log(), room_with_publisher(members=2)
    loop = ClosedLoop(1, log)
    loop.advance([room], 1)
    room.delivered = 1
    loop.advance([room], 2)
    assert len(log.entries) == 1
    room.delivered = 2
    loop.advance([room], 3)
    assert log.entries == [(0, 1), (0, 3)]


def test_a_shared_room_waits_for_members_in_other_workers() -> None:
    log, room = Log(), room_with_publisher(members=2, sharing=3)
    loop = ClosedLoop(1, log)
    loop.advance([room], 1)
    room.delivered = 20
    room.elsewhere = {1: 1}
    loop.advance([room], 2)
    assert len(log.entries) == 1
    room.elsewhere = {1: 1, 2: 1}
    loop.advance([room], 3)
    assert len(log.entries) == 2


def test_a_room_without_its_publisher_here_never_publishes() -> None:
    log, room = Log(), Room(RoomShare(0, 2, 1, 1))
    ClosedLoop(4, log).advance([room], 1)
    open_loop = OpenLoop(1000, [room], log, 0)
    open_loop.advance(10 * MS)
    assert log.entries == []
    assert open_loop.wait(0) == 0.1


def test_the_open_loop_publishes_what_is_due_with_the_time_when_it_was_due() -> None:
    log = Log()
    loop = OpenLoop(100, [room_with_publisher()], log, start=5 * MS)
    loop.advance(4 * MS)
    assert log.entries == []
    loop.advance(26 * MS)
    assert log.entries == [(0, 5 * MS), (0, 15 * MS), (0, 25 * MS)]


def test_the_open_loop_takes_rooms_in_turn() -> None:
    log = Log()
    loop = OpenLoop(100, [room_with_publisher(0), room_with_publisher(1)], log, start=0)
    loop.advance(15 * MS)
    assert sorted(log.entries, key=lambda entry: entry[1]) == [
        (0, 0),
        (1, 5 * MS),
        (0, 10 * MS),
        (1, 15 * MS),
    ]


def test_the_open_loop_never_waits_past_what_is_due() -> None:
    loop = OpenLoop(100, [room_with_publisher()], Log(), start=10 * MS)
    assert loop.wait(0) == 0.01
    assert loop.wait(9 * MS + MS // 2) == 0
    assert loop.wait(50 * MS) == 0
