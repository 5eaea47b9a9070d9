"""`rooms.server.outbox`: frames that wait for one client, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.errors import SlowConsumer
from rooms.server.outbox import Outbox
from rooms.transports.base import Link


class FakeLink(Link):
    """A connection whose peer reads as much as a test lets it.

    Attributes:
        room: Bytes that the kernel takes at once.
        sent: Everything that went out, write by write.
    """

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.dead = False
        self._reads = trio.Event()

    def peer_reads(self) -> None:
        """Let everything through from now on."""
        self._reads.set()

    def send_nowait(self, data: bytes) -> int:
        if self.dead:
            raise BrokenPipeError
        taken = min(self.room, len(data))
        self.room -= taken
        if taken:
            self.sent.append(data[:taken])
        return taken

    async def send_all(self, data: bytes) -> None:
        await self._reads.wait()
        if self.dead:
            raise trio.BrokenResourceError
        self.sent.append(data)

    async def receive_some(self) -> bytes:
        raise NotImplementedError

    async def finish(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


class Client:
    """A link, its outbox and the nursery of the connection."""

    def __init__(
        self, nursery: trio.Nursery, room: int, limit_bytes: int, limit_writes: int
    ) -> None:
        self.nursery = nursery
        self.link = FakeLink(room)
        self.overflows = 0
        self.outbox = Outbox(
            self.link,
            limit_bytes=limit_bytes,
            limit_writes=limit_writes,
            start=nursery.start_soon,
            overflow=self._overflow,
        )

    def _overflow(self, reason: SlowConsumer) -> None:
        self.overflows += 1


@asynccontextmanager
async def connected(
    room: int = 0, *, limit_bytes: int = 1000, limit_writes: int = 100
) -> AsyncIterator[Client]:
    async with trio.open_nursery() as nursery:
        yield Client(nursery, room, limit_bytes, limit_writes)
        nursery.cancel_scope.cancel()


def tasks(client: Client) -> int:
    return len(client.nursery.child_tasks)


# While the client reads.


async def test_what_the_kernel_takes_goes_out_at_once() -> None:
    async with connected(room=100) as client:
        client.outbox.write(b"one")
        client.outbox.write(b"two")
        assert client.link.sent == [b"one", b"two"]
        assert client.outbox.waiting_bytes == 0
        assert tasks(client) == 0


# While it does not.


async def test_what_the_kernel_does_not_take_waits_and_is_written_later_in_order() -> None:
    async with connected(room=4) as client:
        for frames in (b"12345", b"678", b"9"):
            client.outbox.write(frames)
        assert client.outbox.waiting_bytes == 5
        client.link.peer_reads()
        await client.outbox.drained()
        assert b"".join(client.link.sent) == b"123456789"
        assert client.outbox.waiting_bytes == 0


async def test_what_waits_is_written_joined() -> None:
    async with connected() as client:
        client.outbox.write(b"first")
        await wait_all_tasks_blocked()
        for number in range(10):
            client.outbox.write(b"%d" % number)
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.link.sent == [b"first", b"0123456789"]


async def test_the_writer_lives_only_while_something_waits() -> None:
    async with connected() as client:
        client.outbox.write(b"a")
        assert tasks(client) == 1
        client.link.peer_reads()
        await wait_all_tasks_blocked()
        assert tasks(client) == 0
        client.link.room = 100
        client.outbox.write(b"b")
        assert client.link.sent == [b"a", b"b"]
        assert tasks(client) == 0


async def test_nothing_overtakes_what_waits() -> None:
    async with connected() as client:
        client.outbox.write(b"a")
        await wait_all_tasks_blocked()
        client.link.room = 100  # the kernel would take it now
        client.outbox.write(b"b")
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.link.sent == [b"a", b"b"]


# When it is too slow.


async def test_more_bytes_than_the_limit_are_an_overflow() -> None:
    async with connected(limit_bytes=10) as client:
        client.outbox.write(b"x" * 6)
        client.outbox.write(b"x" * 4)
        assert client.overflows == 0
        client.outbox.write(b"x")
        assert client.overflows == 1
        assert client.outbox.closed
        assert client.outbox.waiting_bytes == 10


async def test_more_writes_than_the_limit_are_an_overflow() -> None:
    async with connected(limit_writes=3) as client:
        client.outbox.write(b"under way")
        for _ in range(3):
            client.outbox.write(b"x")
        assert client.overflows == 0
        client.outbox.write(b"x")
        assert client.overflows == 1


async def test_after_an_overflow_nothing_is_taken_and_nobody_is_told_again() -> None:
    async with connected(limit_bytes=10) as client:
        for _ in range(5):
            client.outbox.write(b"x" * 10)
        assert client.overflows == 1
        assert client.outbox.waiting_bytes == 10


async def test_after_an_overflow_the_goodbye_goes_out_instead_of_what_waits() -> None:
    async with connected(limit_bytes=20) as client:
        client.outbox.write(b"under way;")
        await wait_all_tasks_blocked()
        client.outbox.write(b"waits;")
        client.outbox.write(b"too much;")
        assert client.overflows == 1
        client.outbox.finish(b"bye")
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.link.sent == [b"under way;", b"bye"]


@pytest.mark.parametrize("under_way", [b"x" * 20, b"x" * 19])
async def test_the_goodbye_needs_no_room_below_the_limit(under_way: bytes) -> None:
    async with connected(limit_bytes=20) as client:
        client.outbox.write(under_way)
        await wait_all_tasks_blocked()
        client.outbox.write(b"too much")
        client.outbox.finish(b"bye")
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.overflows == 1
        assert client.link.sent == [under_way, b"bye"]


async def test_the_goodbye_of_an_outbox_that_is_just_full_is_no_overflow() -> None:
    async with connected(limit_bytes=20, limit_writes=1) as client:
        client.outbox.write(b"x" * 10)
        await wait_all_tasks_blocked()
        client.outbox.write(b"y" * 10)
        client.outbox.finish(b"bye")
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.overflows == 0
        assert b"".join(client.link.sent) == b"x" * 10 + b"y" * 10 + b"bye"


# Goodbyes.


async def test_the_goodbye_comes_after_what_waits_and_ends_everything() -> None:
    async with connected() as client:
        client.outbox.write(b"a")
        client.outbox.write(b"b")
        client.outbox.finish(b"bye")
        client.outbox.write(b"too late")
        client.link.peer_reads()
        await client.outbox.drained()
        assert b"".join(client.link.sent) == b"abbye"


async def test_without_a_backlog_the_goodbye_goes_out_at_once() -> None:
    async with connected(room=100) as client:
        client.outbox.finish(b"bye")
        assert client.link.sent == [b"bye"]
        await client.outbox.drained()


async def test_nothing_waits_for_an_empty_outbox() -> None:
    async with connected(room=100) as client:
        client.outbox.write(b"a")
        with trio.fail_after(1):
            await client.outbox.drained()


# When the connection is gone.


async def test_a_dead_connection_breaks_the_outbox_and_not_the_publisher() -> None:
    async with connected() as client:
        client.link.dead = True
        client.outbox.write(b"a")
        assert client.outbox.broken
        client.outbox.write(b"b")
        client.outbox.finish(b"bye")
        await client.outbox.drained()
        assert client.link.sent == []


async def test_a_connection_that_dies_under_the_writer_breaks_the_outbox() -> None:
    async with connected() as client:
        client.outbox.write(b"a")
        client.outbox.write(b"b")
        client.link.dead = True
        client.link.peer_reads()
        await client.outbox.drained()
        assert client.outbox.broken
        assert client.outbox.closed
        assert client.link.sent == []


async def test_a_writer_that_is_cut_short_leaves_no_polite_goodbye_behind() -> None:
    async with trio.open_nursery() as nursery:
        client = Client(nursery, 3, 1000, 100)
        client.outbox.write(b"torn frame")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert client.outbox.broken
    client.outbox.finish(b"bye")
    assert client.link.sent == [b"tor"]
