"""Who does what: rooms and members, divided among worker processes."""

from __future__ import annotations

from msgspec import Struct

from rooms.bench.plan import Plan


class RoomShare(Struct, frozen=True):
    """What one worker has of a room.

    Where every client publishes, each has a share of its own, though their rooms may be the same.

    Attributes:
        room: Its number; names are given round robin where there are more shares than rooms.
        publisher: The worker whose first member publishes.
        sharing: How many workers have members of this room.
    """

    room: int
    members: int
    publisher: int
    sharing: int


def divide(plan: Plan) -> list[list[RoomShare]]:
    """Return each worker's shares.

    Rooms stay whole when there are enough of them; otherwise each is split among all workers.
    """
    shares: list[list[RoomShare]] = [[] for _ in range(plan.workers)]
    total = plan.audience
    for room in range(plan.publishers):
        owner = room % plan.workers
        if plan.publishers >= plan.workers:
            shares[owner].append(RoomShare(room, total, owner, 1))
            continue
        sharing = min(total, plan.workers)
        for turn in range(sharing):
            members = part(total, sharing, turn)
            worker = (owner + turn) % plan.workers
            shares[worker].append(RoomShare(room, members, owner, sharing))
    return shares


def part(total: int, parts: int, turn: int) -> int:
    """Return how much of ``total`` falls to one of several nearly equal parts."""
    return total // parts + (turn < total % parts)
