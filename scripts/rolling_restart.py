"""Replaces a server again and again while clients talk, and checks that nobody missed anything."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import Any

import trio

from rooms.testing import Closed, Refused, TestClient

ROOT = Path(__file__).parents[1]
START_SECONDS = 30
AWAY = re.compile(r"retry after (\d+\.\d+) s")
WAITING = b"waiting for another server"
READY = b" on http://"


@dataclass
class Plan:
    """What is to happen.

    Attributes:
        clients: How many clients there are.
        room_size: How many of them share a room.
        interval: Seconds between two publications of one client.
        restarts: How often the server is replaced.
        steady: Seconds between two restarts, and before the first.
        drain: The server's ``drain_seconds``.
    """

    clients: int = 500
    room_size: int = 20
    interval: float = 2.0
    restarts: int = 3
    steady: float = 5.0
    drain: float = 2.0


@dataclass
class Member:
    """A client that publishes numbers in its room, comes back, and takes note of all it is told.

    Attributes:
        heard: What was published since it first joined: offset, user, number.
        acknowledged: The last number whose publication it knows of.
        outages: Seconds from each goodbye to the next greeting.
        troubles: What should not have happened.
    """

    name: str
    room: str
    port: int
    interval: float
    heard: list[tuple[int, str, int]] = field(default_factory=list)
    acknowledged: int = 0
    outages: list[float] = field(default_factory=list)
    goodbyes: int = 0
    refusals: int = 0
    troubles: list[str] = field(default_factory=list)
    talks: bool = True
    _number: int = 0
    _since: Any = None
    _due: float = 0.0
    _left: float | None = None

    @property
    def settled(self) -> bool:
        """Whether it is connected, and everything that it has published is acknowledged."""
        return self._left is None and self.acknowledged == self._number

    async def live(self) -> None:
        """Be connected, again and again, for ever."""
        number = int(self.name.rpartition("-")[2])
        self._due = trio.current_time() + self.interval * (number % 100) / 100
        while True:
            pause = 0.1
            try:
                await self._connect()
            except Closed as closed:
                pause = self._sent_away(closed)
            except Refused:
                self.refusals += 1
            except (OSError, trio.BrokenResourceError) as error:
                self.troubles.append(f"not connected: {error!r}")
            self._left = self._left or trio.current_time()
            await trio.sleep(pause)

    def _sent_away(self, closed: Closed) -> float:
        asked = AWAY.search(closed.reason)
        if closed.code != 3001 or asked is None:
            self.troubles.append(f"closed with {closed}")
            return 0.1
        self.goodbyes += 1
        return float(asked[1])

    async def _connect(self) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            client = TestClient(stream)
            await client.handshake()
            await client.welcome()
            if self._left is not None:
                self.outages.append(trio.current_time() - self._left)
                self._left = None
            await client.request(type="auth", name=self.name, secret=self.name)
            since = {} if self._since is None else {"since": self._since}
            self._joined(await client.request(type="join", room=self.room, **since))
            if not self.settled:
                await self._publish(client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._talk_while_heard, client)
                closed = await self._listen(client)
                nursery.cancel_scope.cancel()
            raise closed

    def _joined(self, reply: dict[str, Any]) -> None:
        if self._since is None:
            self._since = reply["position"]
        elif reply.get("recovered") is not True:
            self.troubles.append(f"not recovered: {reply}")
            self._since = reply["position"]
        else:
            self._take(reply["missed"])

    async def _talk_while_heard(self, client: TestClient) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._talk(client)

    async def _talk(self, client: TestClient) -> None:
        """Publish the next number when it is time, or the last one again if it was not taken."""
        while True:
            await trio.sleep_until(self._due)
            self._due = trio.current_time() + self.interval
            if not self.settled or self.talks:
                self._number += self.settled
                await self._publish(client)

    async def _listen(self, client: TestClient) -> Closed:
        try:
            while True:
                self._handle(await client.receive())
        except Closed as closed:
            return closed

    async def _publish(self, client: TestClient) -> None:
        await client.send(
            type="event",
            event="say",
            room=self.room,
            payload=self._number,
            id=f"say-{self._number}",
            key=str(self._number),
        )

    def _handle(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "event":
            self._take([message])
        elif kind == "missed":
            self._take(message["missed"])
        elif kind == "reply" and message.get("id") == f"say-{self._number}":
            self.acknowledged = self._number
        elif kind == "error" and message["code"] != "unavailable":
            self.troubles.append(f"error: {message}")

    def _take(self, publications: list[dict[str, Any]]) -> None:
        for each in publications:
            epoch, offset = each["position"]
            if [epoch, offset - 1] != self._since:
                self.troubles.append(f"{each['position']} came after {self._since}")
            self._since = each["position"]
            self.heard.append((offset, each["from"]["user"], each["payload"]))


@dataclass
class Outcome:
    """What came of it: ``troubles`` is empty if nobody missed anything."""

    members: list[Member]
    troubles: list[str]
    takeovers: list[float]

    @property
    def published(self) -> int:
        """How many publications there were."""
        return sum(member.acknowledged for member in self.members)

    @property
    def delivered(self) -> int:
        """How many times one was told to a client."""
        return sum(len(member.heard) for member in self.members)

    @property
    def outages(self) -> list[float]:
        """How long each client was away each time, in seconds, the shortest first."""
        return sorted(seconds for member in self.members for seconds in member.outages)


def compare(members: list[Member]) -> list[str]:
    """Return what is wrong with what the members of all rooms were told."""
    troubles = [f"{member.name}: {trouble}" for member in members for trouble in member.troubles]
    rooms: dict[str, list[Member]] = {}
    for member in members:
        rooms.setdefault(member.room, []).append(member)
    for inside in rooms.values():
        troubles += _compare_room(inside)
    return troubles


def _compare_room(members: list[Member]) -> list[str]:
    longest = max((member.heard for member in members), key=len)
    troubles = [
        f"{member.name} was told something else than others in {member.room}"
        for member in members
        if member.heard != longest[len(longest) - len(member.heard) :]
    ]
    for member in members:
        told = [number for _, user, number in longest if user == member.name]
        if told != list(range(1, member.acknowledged + 1)):
            troubles.append(f"of {member.name} there is {told}, not 1 to {member.acknowledged}")
    return troubles


# The servers.


@asynccontextmanager
async def reserved_port() -> AsyncIterator[int]:
    """Yield a port that servers can share and nobody else gets."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        await trio.lowlevel.checkpoint()
        yield sock.getsockname()[1]


async def start_server(port: int, file: Path, drain: float) -> trio.Process:
    """Return a server as soon as its port is open; it may still wait for the broker's file."""
    command = [sys.executable, "-m", "rooms", "serve", "--port", str(port), "--reuse-port"]
    command += ["--broker", f"sqlite:///{file}", "--drain-seconds", str(drain)]
    command += ["--log-level", "warning", "--broker-seconds", "60"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROOMS_")}
    environment = kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment["ROOMS_ADMIN_TOKEN"] = "unused"
    process = await trio.lowlevel.open_process(
        command, cwd=file.parent, env=environment, stdout=PIPE, stderr=PIPE
    )
    with trio.fail_after(START_SECONDS):
        async with trio.open_nursery() as nursery:
            for pipe, sign in ((process.stdout, READY), (process.stderr, WAITING)):
                assert pipe is not None
                nursery.start_soon(_find, pipe, sign, nursery.cancel_scope)
    return process


async def _find(pipe: trio.abc.ReceiveStream, sign: bytes, found: trio.CancelScope) -> None:
    written = b""
    while sign not in written:
        more = await pipe.receive_some()
        if not more:
            raise RuntimeError(f"the server did not start: {written.decode()}")
        written += more
    found.cancel()


async def stop_server(process: trio.Process) -> str:
    """Drain a server, wait for its end and return what it has complained of."""
    process.terminate()
    assert process.stdout is not None
    assert process.stderr is not None
    said = b""
    async with process.stdout, process.stderr:
        async for part in process.stderr:
            said += part
    code = await process.wait()
    return said.decode() if code == 0 else f"exit code {code}: {said.decode()}"


# The course of events.


async def run(plan: Plan, folder: Path) -> Outcome:
    """Carry out ``plan``, with the broker's file in ``folder``."""
    complaints, takeovers = [], []
    async with reserved_port() as port, trio.open_nursery() as nursery:
        server = await start_server(port, folder / "rooms.db", plan.drain)
        try:
            members = [
                Member(f"user-{n}", f"room/{n // plan.room_size}", port, plan.interval)
                for n in range(plan.clients)
            ]
            for member in members:
                nursery.start_soon(member.live)
            for _ in range(plan.restarts):
                await trio.sleep(plan.steady)
                start = trio.current_time()
                old, server = server, await start_server(port, folder / "rooms.db", plan.drain)
                complaints.append(await stop_server(old))
                takeovers.append(trio.current_time() - start)
            await trio.sleep(plan.steady)
            complaints += await _settle(members)
            nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                complaints.append(await stop_server(server))
    troubles = [complaint for complaint in complaints if "Traceback" in complaint]
    troubles += [complaint for complaint in complaints if complaint.startswith(("exit", "not "))]
    return Outcome(members, troubles + compare(members), takeovers)


async def _settle(members: list[Member]) -> list[str]:
    """Let everybody fall silent and hear the last of it."""
    for member in members:
        member.talks = False
    with trio.move_on_after(START_SECONDS):
        while not _agreed(members):  # noqa: ASYNC110 - many things together have to be so
            await trio.sleep(0.05)
        return []
    return ["not all was acknowledged and delivered in time"]


def _agreed(members: list[Member]) -> bool:
    last: dict[str, set[int]] = {}
    for member in members:
        if member.heard:
            last.setdefault(member.room, set()).add(member.heard[-1][0])
    return all(member.settled for member in members) and all(
        len(ends) == 1 for ends in last.values()
    )


def main() -> None:
    """Do it and print what came of it; exits with 1 if anybody missed anything."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="scripts/rolling-restart", description=__doc__)
    for name, default in vars(plan).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help=f"[{default}]")
    chosen = Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as folder:
        outcome = trio.run(run, chosen, Path(folder))
    _report(chosen, outcome)
    sys.exit(1 if outcome.troubles else 0)


def _report(plan: Plan, outcome: Outcome) -> None:
    away, members = outcome.outages, outcome.members
    print(f"{plan.clients} clients in rooms of {plan.room_size}, {plan.restarts} restarts")
    print(f"published {outcome.published}, delivered {outcome.delivered}")
    print(f"goodbyes {sum(member.goodbyes for member in members)}", end=", ")
    print(f"refused and come back {sum(member.refusals for member in members)}")
    print("takeovers: " + ", ".join(f"{seconds:.2f} s" for seconds in outcome.takeovers))
    if away:
        late = away[int(len(away) * 0.99)]
        print(f"away: median {median(away):.2f} s, p99 {late:.2f} s, longest {away[-1]:.2f} s")
    for trouble in outcome.troubles[:20]:
        print(f"TROUBLE: {trouble}")
    print(f"{len(outcome.troubles)} troubles" if outcome.troubles else "nobody missed anything")


if __name__ == "__main__":
    main()
