"""Every member is played by exactly one worker."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rooms.bench.plan import make_plan
from rooms.bench.shares import RoomShare, divide, part


def test_rooms_stay_whole_when_there_are_enough() -> None:
    plan = make_plan("rooms", connections=40, rooms=4, workers=2)
    assert [[share.room for share in shares] for shares in divide(plan)] == [[0, 2], [1, 3]]
    assert all(share.sharing == 1 for shares in divide(plan) for share in shares)


def test_a_lone_room_is_split_among_all_workers() -> None:
    shares = divide(make_plan("fan-out", connections=10, workers=3))
    assert shares == [[RoomShare(0, members, 0, 3)] for members in (4, 3, 3)]


def test_where_everybody_publishes_each_has_a_share() -> None:
    shares = divide(make_plan("publish", connections=5, rooms=2, workers=2))
    assert [[share.room for share in each] for each in shares] == [[0, 2], [1, 3]]
    assert all(share.members == 1 for each in shares for share in each)


@given(
    connections=st.integers(min_value=1, max_value=60),
    rooms=st.integers(min_value=1, max_value=12),
    workers=st.integers(min_value=1, max_value=8),
)
def test_nobody_is_left_out_or_played_twice(connections: int, rooms: int, workers: int) -> None:
    plan = make_plan(
        "rooms", connections=connections, rooms=min(rooms, connections), workers=workers
    )
    shares = divide(plan)
    members: Counter[int] = Counter()
    publishers: Counter[int] = Counter()
    for worker, its_shares in enumerate(shares):
        for share in its_shares:
            members[share.room] += share.members
            publishers[share.room] += share.publisher == worker
    assert dict(members) == dict.fromkeys(range(plan.rooms), plan.members)
    assert dict(publishers) == dict.fromkeys(range(plan.rooms), 1)


def test_parts_differ_by_at_most_one() -> None:
    assert [part(10, 4, turn) for turn in range(4)] == [3, 3, 2, 2]
