"""Nodes, their links and their engine break again and again; nobody misses anything unknowingly.

`scripts/chaos` is the long form.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import trio

from rooms import logs
from scripts.chaos_run.faults import (
    FAIL_OVER,
    FAULTS,
    GONE_SECONDS,
    OF_A_CLUSTER,
    OF_NODES,
    OF_THE_ENGINE,
    REWIND,
    Faults,
)
from scripts.chaos_run.members import LOST, Member, present
from scripts.chaos_run.nodes import Node, opened_nodes
from scripts.chaos_run.record import Record, RoomRecord
from scripts.chaos_run.shards import Shards
from tests.brokers.valkey import Valkey

NODES = 3
SETTLE_SECONDS = 60.0
"""What a run may take until all is quiet, after the last fault."""

MEMORY_MIB = 150.0
"""The most that a node may take in the end."""

TASKS = 12
"""The most tasks that a node may have, beyond those that it had before anybody came."""

CONNECTIONS = 6
"""The most connections that a node may have to the engine, those included that are on their way
out."""

ALL_KEYS_SECONDS = 400
"""Every key expires in so many seconds, once nobody uses it."""

NO_EXPIRY = (
    "local kept = 0 for _, key in ipairs(redis.call('KEYS', '*')) do "
    "if redis.call('PTTL', key) < 0 then kept = kept + 1 end end return kept"
)


@dataclass(frozen=True)
class Plan:
    """How much is to happen.

    Attributes:
        lanes: Faults of which one after the other happens, beside those of other lanes.
        seconds: How long faults go on; 0 to have each fault of the lanes once.
        cluster: Whether the engine is a cluster, each of whose servers has a replica.
        replaced: How many nodes are replaced one by one.
        length: How long faults last, as a share of what they last in a long run.
        pause: Seconds between two faults of a lane.
        talkers: How many members of a room say something.
        interval: Seconds between two publications of one of them.
    """

    lanes: tuple[tuple[str, ...], ...] = (OF_NODES, OF_THE_ENGINE)
    clients: int = 300
    rooms: int = 10
    seconds: float = 0.0
    replaced: int = NODES
    cluster: bool = False
    length: float = 1.0
    pause: float = 2.0
    talkers: int = 5
    interval: float = 0.8
    seed: int = 1


SHORT = Plan(
    lanes=(OF_NODES[:1], OF_NODES[1:], OF_THE_ENGINE),
    clients=60,
    rooms=4,
    replaced=1,
    length=0.25,
    pause=0.2,
    interval=0.4,
)
"""Each fault once, in some fifteen seconds."""


@dataclass
class Outcome:
    """What happened; it is well if there are no troubles."""

    seconds: float = 0.0
    lines: list[tuple[str, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Add a line to the table."""
        self.lines.append((name, f"{value:.1f}" if isinstance(value, float) else str(value)))

    def count(self, name: str) -> float:
        """Return the number of a line."""
        return float(dict(self.lines)[name])

    def __str__(self) -> str:
        table = [f"| {name} | {value} |" for name, value in self.lines]
        said = [f"TROUBLE: {trouble}" for trouble in self.troubles]
        end = f"{len(said)} troubles" if said else "nobody missed anything without being told"
        return "\n".join(["| | |", "|---|---|", *table, *said, end])


class Chaos:
    """One run: the engine, the nodes, the members and what they were told."""

    def __init__(self, plan: Plan, engine: Valkey | Shards, nodes: list[Node]) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self._engine = engine
        self._nodes = nodes
        luck = random.Random(plan.seed)
        names = ["live/0", *(f"room/{number}" for number in range(1, plan.rooms))]
        rooms = {name: RoomRecord(name, name.startswith("room/")) for name in names}
        self._record = Record(rooms)
        self._members = [self._member(number, names, luck) for number in range(plan.clients)]
        self._faults = Faults(nodes, engine, luck, plan.length, plan.replaced, names[-1])

    def _member(self, number: int, names: Sequence[str], luck: random.Random) -> Member:
        room, place = names[number % len(names)], number // len(names)
        pause = self.plan.interval if place < self.plan.talkers else None
        ports = [node.port for node in self._nodes]
        own = random.Random(luck.random())
        return Member(f"user {number}", room, self._record, ports, own, pause)

    async def run(self) -> None:
        """Let everybody in, break things, wait until all is quiet, and judge."""
        tasks = [(await node.metrics())["rooms_tasks"] for node in self._nodes]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count_connections)
            for member in self._members:
                nursery.start_soon(member.live)
            await self._until("everybody is in", self._all_in)
            start = trio.current_time()
            await self._break_things()
            self.outcome.seconds = trio.current_time() - start
            await self._quiet_down()
            nursery.cancel_scope.cancel()
        self._judge_members()
        await self._judge_nodes(max(tasks))
        await self._judge_engine()
        self._report()

    # What happens.

    async def _break_things(self) -> None:
        async with trio.open_nursery() as nursery:
            for lane in self.plan.lanes:
                nursery.start_soon(self._follow, lane)
        if self.plan.seconds:
            await self._faults.do("kill -9 a node")  # alone: it is seen how long that takes

    async def _follow(self, lane: tuple[str, ...]) -> None:
        end = trio.current_time() + self.plan.seconds
        for name in cycle(lane) if self.plan.seconds else lane:
            await trio.sleep(self.plan.pause)
            if self.plan.seconds and trio.current_time() > end:
                return
            await self._faults.do(name)

    async def _quiet_down(self) -> None:
        """Have everybody fall silent and hear the last of it, and see who is told to be there."""
        mended_at = trio.current_time()
        for member in self._members:
            member.talks = False
        await self._until("everybody is in again", self._all_in)
        await self._until("all is acknowledged", self._all_acknowledged)
        await self._until("all is heard", self._all_heard)
        self.outcome.add("seconds until all was heard", trio.current_time() - mended_at)
        wrong: list[str] = []
        with trio.move_on_after(SETTLE_SECONDS):
            while wrong := await self._wrong_presence():  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(0.2)
        seconds = trio.current_time() - mended_at
        self.outcome.add("seconds until presence was right on all nodes", seconds)
        if wrong or seconds > GONE_SECONDS:
            self._record.trouble(f"presence was wrong after {seconds:.1f} s: {wrong[:3]}")

    async def _wrong_presence(self) -> list[str]:
        """Return where a node tells of others than those who are there."""
        wrong = []
        for node in self._nodes:
            for room in self._record.rooms:
                there = {each.name: {each.id} for each in self._members if each.room == room}
                try:
                    told = await present(node.port, room)
                except LOST as error:
                    told = {"nobody": {str(error)}}
                if told != there:
                    wrong.append(f"{room} on node {node.number}: {_differing(there, told)}")
        return wrong

    async def _until(self, what: str, holds: Callable[[], bool]) -> None:
        with trio.move_on_after(SETTLE_SECONDS):
            while not holds():  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(0.05)
            return
        self._record.trouble(f"not in {SETTLE_SECONDS} s: {what}")

    def _all_in(self) -> bool:
        return all(member.id is not None for member in self._members)

    def _all_acknowledged(self) -> bool:
        return all(member.settled for member in self._members)

    def _all_heard(self) -> bool:
        ends = {(member.room, member.position) for member in self._members}
        return len(ends) == len(self._record.rooms)

    async def _count_connections(self) -> None:
        while True:
            for node in self._nodes:
                node.link.count()
            await trio.sleep(0.1)

    # What is judged.

    def _judge_members(self) -> None:
        self._record.rewinds = self._faults.done[REWIND] + self._faults.done[FAIL_OVER]
        for room in self._record.rooms:
            stays = [each.stays for each in self._members if each.room == room]
            self._record.judge(room, stays, self._faults.losses)
        for seconds in self._faults.gone_after:
            if seconds > GONE_SECONDS:
                self._record.trouble(f"a killed node was in presence for {seconds:.1f} s")

    async def _judge_nodes(self, tasks: float) -> None:
        """See that nodes hold nothing of clients who are gone, and have them end."""
        for node in self._nodes:
            if node.end:
                raise RuntimeError(f"node {node.number}, which nobody had stopped, {node.end}")
            with trio.move_on_after(GONE_SECONDS):
                while left := await _left_over(node, tasks):  # noqa: ASYNC110 - nothing else tells
                    await trio.sleep(0.2)
            if left:
                self._record.trouble(f"node {node.number} still has {left}")
            if node.memory > MEMORY_MIB:
                self._record.trouble(f"node {node.number} takes {node.memory:.0f} MiB")
            if node.link.most > CONNECTIONS:
                self._record.trouble(f"node {node.number} had {node.link.most} connections")
        self.outcome.add("MiB of a node in the end", max(node.memory for node in self._nodes))
        self.outcome.add("most connections of a node", max(n.link.most for n in self._nodes))
        async with trio.open_nursery() as nursery:
            for node in self._nodes:
                nursery.start_soon(node.stop)
        for node in self._nodes:
            for complaint in node.complaints:
                self._record.trouble(f"node {node.number} wrote: {complaint[-2000:]}")

    async def _judge_engine(self) -> None:
        """See that every key expires, once nobody uses it."""
        servers = [self._engine] if isinstance(self._engine, Valkey) else self._engine.primaries
        keys = sum(int(server.command("DBSIZE").lstrip(":")) for server in servers)
        for server in servers:
            kept = server.command("EVAL", NO_EXPIRY, "0")
            server.pass_time("*", ALL_KEYS_SECONDS)
            left = server.command("DBSIZE")
            if (kept, left) != (":0", ":0"):
                self._record.trouble(f"the engine keeps {left} keys, {kept} for ever")
        self.outcome.add("keys in the engine when all had left, all with a TTL", keys)

    def _report(self) -> None:
        outcome, faults = self.outcome, self._faults
        for name in FAULTS:
            outcome.add(name, faults.done[name])
        outcome.add("seconds of faults", outcome.seconds)
        for name, count in sorted(self._record.counts.items()):
            outcome.add(name, count)
        epochs = [len({stay.epoch for stay in member.stays}) for member in self._members]
        outcome.add("epochs that a member saw", max(epochs))
        whole = sum(len(member.stays) == 1 for member in self._members)
        outcome.add("members who never had a gap", whole)
        if faults.gone_after:
            outcome.add("seconds until a killed node was forgotten", max(faults.gone_after))
        outcome.troubles = self._record.troubles


def _differing(there: dict[str, set[str | None]], told: dict[str, set[str]]) -> list[str]:
    users = [user for user in there.keys() | told.keys() if there.get(user) != told.get(user)]
    return [f"{user}: {there.get(user)} is there, {told.get(user)} is told" for user in users[:3]]


async def _left_over(node: Node, tasks: float) -> str:
    """Return what a node has that it should not have without clients."""
    found = await node.metrics()
    left = {name: found[name] for name in ("rooms_clients", "rooms_open_rooms") if found[name]}
    if found["rooms_tasks"] > tasks + TASKS:
        left["rooms_tasks"] = found["rooms_tasks"]
    return ", ".join(f"{value:.0f} {name}" for name, value in left.items())


async def run(plan: Plan) -> Outcome:
    """Carry out ``plan``; every process that it starts has ended when it returns or raises."""
    engine = Shards() if plan.cluster else Valkey(appendonly="yes", appendfsync="always")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, engine:
        async with opened_nodes(NODES, engine, Path(folder)) as nodes:
            chaos = Chaos(plan, engine, nodes)
            await chaos.run()
    return chaos.outcome


def main(seconds: str = "60", seed: str = "1", engine: str = "single") -> None:
    """Do it and print what came of it; exits with 1 if anything is wrong."""
    logs.configure("warning", "console")
    plan = Plan(seconds=float(seconds), seed=int(seed))
    if engine == "cluster":
        plan = replace(plan, cluster=True, lanes=(OF_NODES, OF_A_CLUSTER))
    outcome = trio.run(run, plan)
    print(outcome)
    sys.exit(1 if outcome.troubles else 0)


if __name__ == "__main__":
    main(*sys.argv[1:4])
