"""A storm of connections, and what those notice of it who are chatting meanwhile.

See ``scripts/storm``.  This process chats; the server and the storm are its children.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from rooms.bench.connection import WOULD_BLOCK, open_socket, source_address, upgrade_request
from rooms.bench.target import Target, resolve
from rooms.server.descriptors import raise_descriptors
from rooms.testing import Closed, TestClient

SOURCES = 16
ROOM_SIZE = 10
QUIET_SECONDS = 4
IN_FLIGHT = 2000
"""Connects that are under way at a time: what the kernel's queue takes, and no SYN is lost."""

HALF = b"GET /ws HTTP/1.1\r\nHost: storm\r\n"


class Storm:
    """Connects as fast as it can, and counts how each attempt ended.

    Args:
        seconds: After which whatever is still open is counted as it is.
    """

    def __init__(self, target: Target, seconds: float) -> None:
        self._target = target
        self._until = time.monotonic() + seconds
        self._selector = selectors.DefaultSelector()
        self._request = upgrade_request(target, "/ws")
        self._left = 0
        self._connected: list[Any] = []
        self.outcomes: Counter[str] = Counter()

    def blow(self, whole: int, half: int) -> None:
        """Open all connections, ``half`` of them without ever finishing the request."""
        turns = [HALF] * half + [self._request] * whole
        turns[:] = turns[::2] + turns[1::2][::-1]  # mixed
        while turns or (self._left and time.monotonic() < self._until):
            while turns and self._left < IN_FLIGHT + half:
                self._open(turns.pop(), len(turns))
                if len(turns) % 64 == 0:
                    self._step(0)
            self._step(0.1)
        self.outcomes["nothing"] += self._left

    def _open(self, request: bytes, turn: int) -> None:
        sock = open_socket(self._target, source_address(self._target, SOURCES, turn))
        self._selector.register(sock, selectors.EVENT_WRITE, request)
        self._left += 1

    def _step(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            sock: Any = key.fileobj
            try:
                if key.events == selectors.EVENT_WRITE:
                    sock.send(key.data)
                    self._selector.modify(sock, selectors.EVENT_READ, key.data)
                else:
                    self._note(sock, key.data, sock.recv(4096))
            except WOULD_BLOCK:
                continue
            except OSError as error:
                self._end(sock, key.data, type(error).__name__)

    def _note(self, sock: Any, request: bytes, answer: bytes) -> None:
        status = answer[9:12].decode() or "closed without an answer"
        if status == "101":  # stays connected
            self._selector.unregister(sock)
            self._connected.append(sock)
            self._count(request, status)
        else:
            self._end(sock, request, status)

    def _end(self, sock: Any, request: bytes, outcome: str) -> None:
        self._selector.unregister(sock)
        sock.close()
        self._count(request, outcome)

    def _count(self, request: bytes, outcome: str) -> None:
        self._left -= 1
        self.outcomes[("half-open " if request is HALF else "") + outcome] += 1


def storm(url: str, whole: int, half: int, seconds: float) -> None:
    """Be the process that storms; prints how all attempts ended, and stays until its input ends."""
    raise_descriptors()
    made = Storm(resolve(url), seconds)
    started = time.monotonic()
    made.blow(whole, half)
    print(json.dumps({"seconds": time.monotonic() - started, **made.outcomes}), flush=True)
    sys.stdin.read()


class Chat:
    """Clients in rooms of ten, who talk all the time.

    Attributes:
        latencies: Seconds from a sender to each member of the room, of late.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.latencies: list[float] = []
        self.sent = 0
        self.lost = 0

    async def run(self, clients: int, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Connect and chat until cancelled."""
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                client = await self._connect(number)
                nursery.start_soon(self._listen, client)
                nursery.start_soon(self._talk, client, f"room/{number // ROOM_SIZE}", number)
            task_status.started()

    async def _connect(self, number: int) -> TestClient:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", self._port))
        await client.handshake()
        await client.welcome()
        await client.request(type="auth", name=f"u{number}", secret=f"of {number}")
        await client.join(f"room/{number // ROOM_SIZE}")
        return client

    async def _talk(self, client: TestClient, room: str, number: int) -> None:
        await trio.sleep(number % ROOM_SIZE / ROOM_SIZE)
        while True:
            payload = {"text": "hi", "at": time.perf_counter()}
            await client.send(type="event", event="say", room=room, payload=payload)
            self.sent += 1
            await trio.sleep(1)

    async def _listen(self, client: TestClient) -> None:
        try:
            while True:
                message = await client.receive_type("event")
                self.latencies.append(time.perf_counter() - message["payload"]["at"])
        except Closed:
            self.lost += 1

    def report(self, when: str) -> None:
        """Print what the latencies have been since the last time."""
        latencies, self.latencies = sorted(self.latencies), []
        at = [latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99)]
        print(
            f"{when}: {len(latencies)} deliveries, p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms, "
            f"worst {latencies[-1] * 1000:.1f} ms, {self.lost} cut off",
            flush=True,
        )


@asynccontextmanager
async def served(options: list[str]) -> AsyncIterator[int]:
    """Yield the port of a server in a process of its own."""
    command = [sys.executable, "-m", "rooms", "serve", "--port", "0", "--log-level", "warning"]
    process = await trio.lowlevel.open_process([*command, *options], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        printed = b""
        with trio.fail_after(30):
            while not (found := re.search(rb"on https?://[^ ]*:(\d+) .*\n", printed)):
                more = await process.stdout.receive_some()
                if not more:
                    raise SystemExit("the server did not start")
                printed += more
        yield int(found[1])
        _report_memory(process.pid)
    finally:
        process.kill()
        await process.wait()


def _report_memory(pid: int) -> None:
    with open(f"/proc/{pid}/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(f"server: {int(peak) // 1024} MiB at most")


async def main(arguments: argparse.Namespace) -> None:
    """Chat before, during and after a storm."""
    async with served(shlex.split(arguments.serve)) as port, trio.open_nursery() as nursery:
        chat = Chat(port)
        await nursery.start(chat.run, arguments.chatting)
        await trio.sleep(QUIET_SECONDS)
        chat.report("before")
        shape = (arguments.connects, arguments.half_open, arguments.seconds)
        command = [sys.executable, "-m", __spec__.name, "--storm", f"ws://127.0.0.1:{port}/ws"]
        for name, value in zip(("--connects", "--half-open", "--seconds"), shape, strict=True):
            command += [name, str(value)]
        outcomes = await _blow(command)
        chat.report("during")
        print("storm:", outcomes)
        await trio.sleep(QUIET_SECONDS)
        chat.report("while all of them leave")
        await trio.sleep(QUIET_SECONDS)
        chat.report("after")
        nursery.cancel_scope.cancel()


async def _blow(command: list[str]) -> str:
    """Run the process that storms until all its attempts have ended, and let it go."""
    pipe = subprocess.PIPE
    process = await trio.lowlevel.open_process(command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    outcomes = b""
    while not outcomes.endswith(b"\n"):
        more = await process.stdout.receive_some()
        if not more:
            raise SystemExit("the storm failed")
        outcomes += more
    await process.stdin.aclose()
    await process.wait()  # and all its connections end
    return outcomes.decode().strip()


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connects", type=int, default=10_000, metavar="N")
    parser.add_argument("--half-open", type=int, default=5_000, metavar="N")
    parser.add_argument("--chatting", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=float, default=60, help="how long to wait for answers")
    parser.add_argument("--serve", default="", help="options for the server")
    parser.add_argument("--storm", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse()
    if chosen.storm:
        storm(chosen.storm, chosen.connects, chosen.half_open, chosen.seconds)
    else:
        trio.run(main, chosen)
