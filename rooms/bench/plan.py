"""What is measured: scenarios with their defaults, and the limits of every run."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from rooms.bench.errors import BenchError

ProtocolName = Literal["native", "msgpack", "zaptools", "fdw", "tranzit", "plain", "socketio"]

MAX_CONNECTIONS = 30_000
MAX_SECONDS = 300.0
MAX_SIZE = 64 * 1024
MIN_SIZE = 64
MAX_WINDOW = 1024
MAX_MISSED = 1000
MAX_WORKERS = 64


class Plan(Struct, frozen=True, kw_only=True):
    """One measurement.  Times are in seconds, sizes in bytes.

    In the *closed loop* (``rate`` 0) each publisher, of which a room has one, has at most
    ``window`` publications under way; one is done when all members have it.  In the *open loop*
    each publishes ``rate`` times a second, whatever the server does.

    Attributes:
        acknowledge: Every client publishes, and a publication is done when the server has replied
            to it; the replies are what is counted.
        keys: Publications carry a key, which makes them safe to repeat.
        missed: How many publications of each room all but its publisher miss, and come back for.
    """

    scenario: str
    protocol: ProtocolName = "native"
    connections: int
    rooms: int = 1
    window: int = 1
    rate: float = 0.0
    size: int = 128
    join: bool = True
    drive: bool = True
    request: bool = False
    acknowledge: bool = False
    keys: bool = False
    missed: int = 0
    in_flight: int = 64
    connect_timeout: float = 60.0
    settle: float = 0.5
    warmup: float = 0.7
    duration: float = 3.0
    workers: int = 1
    pin: bool = False
    sources: int = 16

    @property
    def members(self) -> int:
        """How many members each room has."""
        return self.connections // self.rooms

    @property
    def publishers(self) -> int:
        """How many clients publish."""
        return self.connections if self.acknowledge else self.rooms

    @property
    def audience(self) -> int:
        """How many clients count what one of them publishes."""
        return self.connections // self.publishers

    @property
    def counted(self) -> str:
        """What there is a figure for: so many a second, and a second of the server's CPU."""
        if self.acknowledge:
            return "acknowledgements"
        return "recoveries" if self.missed else "deliveries"


SCENARIOS: dict[str, Plan] = {
    plan.scenario: plan
    for plan in (
        Plan(  # one room; each publication goes to 1,000 members
            scenario="fan-out",
            connections=1000,
        ),
        Plan(  # 200 rooms of 10 members, each with a publisher
            scenario="rooms",
            connections=2000,
            rooms=200,
        ),
        Plan(  # 100 clients, each alone in its room, send and wait for what comes back
            scenario="echo",
            connections=100,
            rooms=100,
        ),
        Plan(  # 5,000 clients connect as fast as they are let in
            scenario="storm",
            connections=5000,
            join=False,
            drive=False,
            in_flight=128,
            settle=0.2,
        ),
        Plan(  # 5,000 silent members of one room; what do they weigh?
            scenario="idle",
            connections=5000,
            drive=False,
            settle=2.0,
        ),
        Plan(  # one room of 1,000, 100 publications a second; how late do they come?
            scenario="rate",
            connections=1000,
            rate=100.0,
        ),
        Plan(  # 200 clients publish, each with a reply to wait for, each in a room of its own
            scenario="publish",
            connections=200,
            rooms=200,
            acknowledge=True,
        ),
        Plan(  # 1,000 clients of one room are cut, miss 100 messages, and come back for them
            scenario="recover",
            connections=1001,
            drive=False,
            in_flight=1000,
            missed=100,
        ),
    )
}


def make_plan(scenario: str, **changes: Any) -> Plan:
    """Return the plan of a scenario with those ``changes`` that are not None.

    With another number of connections its rooms keep their size, if it has several.

    Raises:
        BenchError: There is no such scenario, or a value is outside its limits.
    """
    if scenario not in SCENARIOS:
        raise BenchError(f"There is no scenario {scenario!r}; there are {', '.join(SCENARIOS)}.")
    given = {name: value for name, value in changes.items() if value is not None}
    preset = SCENARIOS[scenario]
    if preset.rooms > 1 and "connections" in given:
        given.setdefault("rooms", max(given["connections"] // preset.members, 1))
    plan = msgspec.structs.replace(preset, **given)
    _check(plan)
    return msgspec.structs.replace(
        plan,
        connections=plan.members * plan.rooms,
        workers=min(plan.workers, plan.connections),
    )


def _check(plan: Plan) -> None:
    seconds = plan.settle + plan.warmup + plan.duration
    limits = (
        ("connections", plan.connections, 1, MAX_CONNECTIONS),
        ("rooms", plan.rooms, 1, plan.connections),
        ("window", plan.window, 1, MAX_WINDOW),
        ("rate", plan.rate, 0, 100_000),
        ("missed", plan.missed, 0, MAX_MISSED),
        ("size", plan.size, MIN_SIZE, MAX_SIZE),
        ("in-flight", plan.in_flight, 1, 4096),
        ("workers", plan.workers, 1, MAX_WORKERS),
        ("sources", plan.sources, 1, 200),
        ("settle", plan.settle, 0, MAX_SECONDS),
        ("warmup", plan.warmup, 0, MAX_SECONDS),
        ("duration", plan.duration, 0.1, MAX_SECONDS),
        ("settle, warmup and duration together", seconds, 0.1, MAX_SECONDS),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise BenchError(f"{name} must be between {least:,} and {most:,}, not {value:,}.")
    if plan.missed and plan.members < 2:
        raise BenchError("To recover, a room needs a member that stays and one that is cut.")
    if plan.counted != "deliveries" and (plan.protocol != "native" or plan.request):
        raise BenchError(f"{plan.scenario} needs the native protocol, and is without --request.")
    if plan.protocol == "fdw" and plan.request:
        raise BenchError("fdw has no answers to requests: it is without --request.")
