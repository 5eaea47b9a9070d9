"""A connection that is interrupted at any of its checkpoints leaves nothing behind.

The sweep plays the same visit again and again and interrupts it a checkpoint later each time,
until the visit is over before its turn comes.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.brokers.memory import MemoryBroker
from rooms.protocol.frames import CONTINUATION, PING
from rooms.server.door import Door
from rooms.testing import Closed, MemoryServer, TestClient, client_frame, in_memory
from tests.footprint import task_names
from tests.server.slow_broker import SlowBroker

GONE = (Closed, trio.BrokenResourceError, trio.ClosedResourceError)
MOST_CHECKPOINTS = 1000
SETTINGS = Settings(presence_seconds=1, presence_grace=1, close_seconds=3)


class Interruption(trio.abc.Instrument):
    """Does something when one task and all below it have come to so many checkpoints.

    Attributes:
        checkpoints: How many they have come to.
    """

    def __init__(self, at: int, strike: Callable[[], object]) -> None:
        self.checkpoints = 0
        self.task: trio.lowlevel.Task | None = None
        self._at = at
        self._strike = strike

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.task is not None and self.task in _ancestry(task):
            self.checkpoints += 1
            if self.checkpoints == self._at:
                self._strike()


def _ancestry(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield a task, whose child it is, and so on."""
    above: trio.lowlevel.Task | None = task
    while above is not None:
        yield above
        nursery = above.parent_nursery
        above = None if nursery is None else nursery.parent_task


class Guestbook:
    """An application that waits at every turn, and notes who came and who went."""

    def __init__(self) -> None:
        self.app = App(relay=True, guests=True)
        self.came: Counter[str] = Counter()
        self.went: Counter[str] = Counter()
        self.app.on("connected")(self._welcome)
        self.app.on("disconnected")(self._miss)
        self.app.on("wait")(self._wait)

    async def _welcome(self, ctx: Context[Any]) -> None:
        self.came[ctx.client.id] += 1
        await trio.lowlevel.checkpoint()
        ctx.start_soon(trio.sleep_forever)

    async def _miss(self, ctx: Context[Any]) -> None:
        self.went[ctx.client.id] += 1
        await trio.lowlevel.checkpoint()

    async def _wait(self, ctx: Context[Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return ctx.payload


class Visit:
    """One client that does a bit of everything, on a connection that is interrupted."""

    def __init__(self, server: MemoryServer, at: int, kind: str) -> None:
        self.client_end, self.server_end = trio.testing.memory_stream_pair()
        self.over = trio.Event()
        self._scope = trio.CancelScope()
        self._door = Door(server.node)
        strike = self._scope.cancel if kind == "cancelled" else self._break
        self.interruption = Interruption(at, strike)

    async def serve(self) -> None:
        """Be the server's side of the connection."""
        self.interruption.task = trio.lowlevel.current_task()
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError), self._scope:
            await self._door.serve_stream(self.server_end, "memory")
        self.over.set()

    async def play(self) -> None:
        """Be the client, as long as the connection lasts."""
        client = TestClient(self.client_end)
        with contextlib.suppress(*GONE):
            await client.handshake()
            await client.welcome()
            await client.request(type="auth", name="Ana", secret="a")
            await client.join("lobby")
            await client.request(type="subscribe", filter="news/#")
            await client.event("say", "lobby", "hi")
            await client.event("wait", payload=1)
            await self._speak_slowly(client)
            await client.join("side")
            await client.request(type="leave", room="side")
            await client.send(type="event", event="say", room="lobby", payload="x" * 3000)
            await client.close()
        await trio.aclose_forcefully(self.client_end)

    async def _speak_slowly(self, client: TestClient) -> None:
        """Send what does not take the fast lane."""
        await client.send_raw(client_frame(b"?", PING))
        await client.send_raw(client_frame('{"type":"ping",', fin=False))
        await client.send_raw(client_frame('"id":77}', CONTINUATION))
        while (await client.receive()).get("id") != 77:
            pass

    def _break(self) -> None:
        """Have the network fail: nothing comes any more, and nothing can be sent."""
        self.client_end.send_stream.close()
        self.client_end.receive_stream.close()


@dataclass
class Stage:
    """What is there all the time, whoever visits."""

    server: MemoryServer
    book: Guestbook
    witness: TestClient
    tasks: Counter[str]

    async def visit(self, at: int, kind: str) -> bool:
        """Have a visit be interrupted, and look around; returns whether its turn came."""
        visit = Visit(self.server, at, kind)
        trio.lowlevel.add_instrument(visit.interruption)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit.serve)
            nursery.start_soon(visit.play)
        trio.lowlevel.remove_instrument(visit.interruption)
        await self._look_around()
        return visit.interruption.checkpoints >= at

    async def _look_around(self) -> None:
        """Check that everything is as it was before anybody came."""
        with trio.move_on_after(SETTINGS.presence_grace + 1):  # of the virtual clock
            await trio.sleep_forever()
        await wait_all_tasks_blocked()
        node = self.server.node
        assert list(node.sessions) == [self.witness.id]
        assert node.app.room_names == ["lobby"]
        assert self.book.came - Counter([self.witness.id]) == self.book.went
        assert set(self.book.went.values()) <= {1}
        assert self.tasks == task_names()
        await self._check_name_is_free()
        listed = await self.witness.request(type="presence", room="lobby")
        assert list(listed["presence"]) == [self.witness.id]

    async def _check_name_is_free(self) -> None:
        node = self.server.node
        node.guests.sign_out(node.guests.sign_in("Ana", "somebody else's"))


async def sweep(broker: MemoryBroker, kind: str) -> int:
    """Interrupt a visit at each of its checkpoints; returns how many there were."""
    book = Guestbook()
    async with in_memory(book.app, SETTINGS, broker) as server:
        witness = await server.connect()
        await witness.join("lobby")
        await wait_all_tasks_blocked()
        stage = Stage(server, book, witness, task_names())
        for at in range(1, MOST_CHECKPOINTS):
            if not await stage.visit(at, kind):
                return at
    raise AssertionError("the visit never ended")


@pytest.mark.parametrize(
    ("kind", "broker"),
    [("cancelled", MemoryBroker), ("cancelled", SlowBroker), ("cut off", SlowBroker)],
)
async def test_a_connection_interrupted_anywhere_leaves_nothing_behind(
    kind: str, broker: type[MemoryBroker], autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        assert await sweep(broker(), kind) > 50
    assert [log for log in logs if log["log_level"] == "error"] == []
