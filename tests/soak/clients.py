"""The clients of a soak: each comes and goes in its own way for as long as it lasts."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from rooms.protocol.frames import CLOSE
from rooms.testing import Closed, Refused, TestClient
from rooms.testing.faults import FaultProxy, Line
from tests.fuzz.whole_server import Nonsense

ROOMS = [f"chat/{number}" for number in range(5)]
BUSY = "chat/0"
FILTERS = ["chat/+", "chat/1", "#"]
NAMES = [f"Soaker {number}" for number in range(30)]
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
GONE = (Closed, Refused, trio.BrokenResourceError, trio.ClosedResourceError)
GOOD_BREAK, BAD_BREAK = 0.3, 0.1
"""The longest that a client rests between two things that it does, in seconds."""


class Soaker:
    """What all clients of a soak share.

    Attributes:
        done: How often each thing was done.
        over: Set when it is time to go.
    """

    def __init__(self, port: int, proxy: FaultProxy, seed: int) -> None:
        self.port = port
        self.proxy = proxy
        self.luck = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.over = trio.Event()

    async def keep_on(self, visit: Callable[[], Awaitable[None]]) -> None:
        """Visit again and again until it is time to go."""
        while not self.over.is_set():
            await visit()
            self.done[visit.__name__] += 1

    async def rest(self, longest: float) -> None:
        """Do nothing for a while, or until it is time to go."""
        with trio.move_on_after(self.luck.random() * longest):
            await self.over.wait()

    async def connect(self, stream: trio.SocketStream | None = None) -> TestClient:
        """Return a client that has been greeted."""
        client = TestClient(stream or await trio.open_tcp_stream("127.0.0.1", self.port))
        await client.handshake()
        await client.welcome()
        return client

    # The well-behaved. Nothing may ever happen to them.

    async def chat(self) -> None:
        """Sign in, be in some rooms, say things and read everything, and say goodbye."""
        client = await self.connect()
        name = self.luck.choice(NAMES)
        await client.request(type="auth", name=name, secret=name)
        if self.luck.random() < 0.3:
            await client.request(type="subscribe", filter=self.luck.choice(FILTERS))
        rooms = self.luck.sample(ROOMS, self.luck.randrange(1, 4))
        for room in rooms:
            assert (await client.join(room))["type"] == "reply"
        for _ in range(self.luck.randrange(5, 30)):
            await self._do_something(client, self.luck.choice(rooms))
            client.kept_events()
            await self.rest(GOOD_BREAK)
        assert (await client.close()).code == 1000

    async def _do_something(self, client: TestClient, room: str) -> None:
        luck = self.luck.random()
        if luck < 0.7:
            text = "x" * self.luck.choice([10, 200, 4000])
            assert "position" in await client.event("say", room, text)
        elif luck < 0.8:
            assert "publications" in await client.request(type="history", room=room, limit=20)
        elif luck < 0.9:
            assert "presence" in await client.request(type="presence", room=room)
        else:
            assert (await client.event("echo", payload=[1, "é"]))["payload"] == [1, "é"]

    async def travel(self) -> None:
        """Join, lose the connection, and come back for what was missed."""
        position = None
        for _ in range(3):
            client = await self.connect()
            reply = await client.request(type="join", room=BUSY, since=position)
            position = reply["position"]
            assert reply.get("recovered", True) or reply["reason"], reply
            await self.rest(GOOD_BREAK)
            if self.luck.random() < 0.5:
                reset_at_close(client.stream)
            await trio.aclose_forcefully(client.stream)
            await self.rest(GOOD_BREAK)

    # The slow and the unlucky.

    async def doze(self) -> None:
        """Join the busy room and read nothing, until it is over or it was too slow."""
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        with contextlib.suppress(*GONE):
            client = await self.connect(stream)
            await client.join(BUSY)
            await self.rest(6)
            await self._read_some(client)
        await trio.aclose_forcefully(stream)

    async def _read_some(self, client: TestClient) -> None:
        with trio.move_on_after(0.5):
            while (await client.frame()).opcode != CLOSE:
                pass
            self.done["told that it was too slow"] += 1

    async def suffer(self) -> None:
        """Chat over a line that has some fault."""
        stream, line = await self.proxy.open_stream()
        with trio.move_on_after(2), contextlib.suppress(*GONE):
            client = await self.connect(stream)
            await client.join(self.luck.choice(ROOMS))
            self.luck.choice(FAULTS)(line)
            for _ in range(10):
                await client.event("say", self.luck.choice(ROOMS), "through the fog")
                await self.rest(BAD_BREAK)
        line.cut()
        await trio.aclose_forcefully(stream)

    # The hostile.

    async def rave(self) -> None:
        """Talk nonsense, and leave without listening."""
        nonsense = Nonsense(self.luck.randrange(2**32))
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        with contextlib.suppress(*GONE):
            if self.luck.random() < 0.3:
                await stream.send_all(nonsense.head())
            else:
                await self.connect(stream)
            for _ in range(self.luck.randrange(30)):
                await stream.send_all(nonsense.frame())
            await self.rest(BAD_BREAK)
        await trio.aclose_forcefully(stream)


def reset_at_close(stream: Any) -> None:
    """Have ``stream`` be reset instead of closed."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)


def drip(line: Line) -> None:
    """Have what the client says come drop by drop."""
    line.up.chunk_bytes, line.up.delay = 16, 0.01


def crumble(line: Line) -> None:
    """Have everything come byte by byte."""
    line.up.chunk_bytes = line.down.chunk_bytes = 1


def tear(line: Line) -> None:
    """Cut the line in the middle of some frame."""
    line.up.spring(200, line.reset)


FAULTS: list[Callable[[Line], None]] = [
    drip,
    crumble,
    tear,
    Line.cut,
    Line.reset,
    lambda line: line.down.stall(),
    lambda line: line.up.stall(),
    lambda line: line.up.half_close(),
]
