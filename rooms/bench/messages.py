"""What the coordinator and its workers tell each other."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from rooms.bench.histogram import Histogram


class Order(Enum):
    """What the coordinator tells a worker to do."""

    CONNECT = auto()
    DRIVE = auto()
    MEASURE = auto()
    STOP = auto()


class Progress(Struct, frozen=True):
    """Where a worker is."""

    ready: int
    dead: int
    delivered: int


class Result(Struct):
    """What a worker measured between MEASURE and STOP; times in seconds, latencies in ns.

    Attributes:
        set_up: When the first connection was begun and when the last was ready, by the monotonic
            clock that all processes of a machine share.
        errors: What went wrong on connections, and how often; at most a few kinds.
    """

    ready: int
    dead: int
    set_up: tuple[float, float]
    delivered: int
    published: int
    seconds: float
    cpu_seconds: float
    out_of_order: int
    latencies: Histogram
    errors: dict[str, int]


class Completed(Struct, frozen=True):
    """How many publications of a room all members in one worker have."""

    room: int
    worker: int
    publications: int


class Failed(Struct, frozen=True):
    """A worker cannot go on."""

    reason: str
