"""What the coordinator and its workers tell each other."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct, field

from rooms.bench.histogram import Histogram


class Order(Enum):
    """What the coordinator tells a worker to do."""

    CONNECT = auto()
    DRIVE = auto()
    MEASURE = auto()
    CUT = auto()  # all connections but those that publish
    MISS = auto()  # publish what the others miss
    COME_BACK = auto()  # connect again, and ask for what was missed
    HOLD = auto()  # publish no more, but read what is under way
    STOP = auto()


class Progress(Struct, frozen=True):
    """Where a worker is.

    Attributes:
        published: How much its clients have published; final once it is not ``driving``.
        driving: Whether they publish still.
    """

    ready: int
    dead: int
    delivered: int
    published: int = 0
    driving: bool = False


class Arrivals(Struct):
    """How a crowd of clients got in; times by the clock that all processes of a machine share.

    Attributes:
        begun: When the first connection was begun; 0 before.
        completed: When the last one was ready or dead; 0 before.
        count: How many got in.
    """

    begun: float = 0.0
    completed: float = 0.0
    count: int = 0


class Tally(Struct, frozen=True):
    """What came of a room in one worker, from the first publication to the last delivery.

    Attributes:
        published: How much was published there by this worker; nothing if another one publishes.
        members: How many of its members that are still here got how many deliveries.
    """

    room: int
    published: int
    members: dict[int, int]


class Result(Struct):
    """What a worker measured between MEASURE and HOLD; times in seconds, latencies in ns.

    Attributes:
        set_up: The first time that its clients came.
        return_: The second time, after they were cut.
        errors: What went wrong on connections, and how often; at most a few kinds.
        tallies: One for each of its rooms.
    """

    ready: int
    dead: int
    set_up: Arrivals
    delivered: int
    published: int
    seconds: float
    cpu_seconds: float
    out_of_order: int
    latencies: Histogram
    errors: dict[str, int]
    return_: Arrivals = field(default_factory=Arrivals)
    tallies: list[Tally] = field(default_factory=list)


class Completed(Struct, frozen=True):
    """How many publications of a room all members in one worker have."""

    room: int
    worker: int
    publications: int


class Failed(Struct, frozen=True):
    """A worker cannot go on."""

    reason: str
