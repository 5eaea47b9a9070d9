"""`rooms.transports.poller`: one task that reads all open sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from rooms.transports.poller import BATCH_BYTES, Poller

pytestmark = pytest.mark.skipif(not Poller.available(), reason="this platform has no epoll")

SECONDS = 10


class FakeTick:
    """As much of a tick as a poller looks at."""

    size = 0


class FakeFlusher:
    """A flusher that counts, and can be waited for."""

    def __init__(self) -> None:
        self.tick = FakeTick()
        self.batching = False
        self.flushes = 0
        self.flushed = trio.Event()

    async def flush(self) -> None:
        assert not self.batching
        self.flushes += 1
        self.flushed.set()
        self.flushed = trio.Event()
        await trio.lowlevel.checkpoint()


class Place:
    """A poller at work, and what it called for."""

    def __init__(self, poller: Poller, flusher: FakeFlusher) -> None:
        self.poller = poller
        self.flusher = flusher
        self.calls: list[tuple[str, bool]] = []

    def watch(self, name: str, sock: socket.socket) -> None:
        """Have the poller note that ``sock`` can be read, and read it."""

        def call() -> None:
            self.calls.append((name, self.flusher.batching))
            sock.recv(100)

        self.poller.add(sock, call)


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    poller, flusher = Poller(), FakeFlusher()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run, flusher)
        with trio.fail_after(SECONDS):
            yield Place(poller, flusher)
        nursery.cancel_scope.cancel()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Yield three pairs of connected sockets."""
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for ours, theirs in made:
        ours.close()
        theirs.close()


async def test_all_that_can_be_read_is_read_in_one_batch_and_then_flushed(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    async with place() as there:
        for number, (ours, theirs) in enumerate(pairs):
            there.watch(str(number), ours)
            theirs.send(b"x")
        await there.flusher.flushed.wait()
        assert sorted(there.calls) == [("0", True), ("1", True), ("2", True)]
        assert there.flusher.flushes == 1


async def test_a_socket_that_was_removed_is_called_for_no_more(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    (ours, theirs), (other, its), _ = pairs
    async with place() as there:
        there.watch("removed", ours)
        there.watch("other", other)
        there.poller.remove(ours)
        theirs.send(b"x")
        its.send(b"x")
        await there.flusher.flushed.wait()
        assert there.calls == [("other", True)]


async def test_a_call_may_remove_another_socket_of_its_batch(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    (first, its), (second, others), _ = pairs
    async with place() as there:
        called: list[str] = []

        def call_for(name: str, sock: socket.socket, other: socket.socket) -> None:
            called.append(name)
            for removed in (sock, other):
                there.poller.remove(removed)

        there.poller.add(first, lambda: call_for("first", first, second))
        there.poller.add(second, lambda: call_for("second", second, first))
        its.send(b"x")
        others.send(b"x")
        await there.flusher.flushed.wait()
        assert len(called) == 1


async def test_a_batch_ends_when_enough_was_published() -> None:
    async with place() as here:
        pairs = [socket.socketpair() for _ in range(3)]
        for number, (ours, theirs) in enumerate(pairs):
            here.watch(str(number), ours)
            theirs.send(b"x")
        here.flusher.tick.size = BATCH_BYTES + 1
        batches = []
        while len(here.calls) < 3:
            await here.flusher.flushed.wait()
            batches.append(len(here.calls))
        assert batches == [1, 2, 3]
        for pair in pairs:
            here.poller.remove(pair[0])
            for sock in pair:
                sock.close()
