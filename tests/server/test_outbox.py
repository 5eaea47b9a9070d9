"""`rooms.server.outbox`: frames that wait for one client, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.core.slow import DEFAULT_RULE, Portion, SlowRule
from rooms.protocol.commands import Position
from rooms.protocol.dialects.native import NativeJson
from rooms.server.outbox import Outbox
from rooms.server.stalls import Stalls
from rooms.server.timers import Timers
from rooms.transports.base import Link


class FakeLink(Link):
    """A connection whose peer reads as much as a test lets it.

    Attributes:
        room: Bytes that the kernel takes at once.
        sent: Everything that went out, write by write.
        confirmed: How far the peer's machine has got, where it is known.
    """

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.dead = False
        self.confirmed: int | None = None
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

    def progress(self) -> int | None:
        return self.confirmed

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
        self.dialect = NativeJson()
        self.cuts: list[SlowRule] = []
        self.losses: list[tuple[Portion, bool]] = []
        self.stalls = Stalls(Timers(), 20)
        self.outbox = Outbox(
            self.link,
            limit_bytes=limit_bytes,
            limit_writes=limit_writes,
            start=nursery.start_soon,
            slow=self,
            stalls=self.stalls,
        )

    @property
    def overflows(self) -> int:
        return len(self.cuts)

    def cut(self, rule: SlowRule) -> None:
        self.cuts.append(rule)

    def lost(self, portion: Portion, first: bool) -> None:
        self.losses.append((portion, first))


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


async def test_the_overflow_of_a_room_is_told_by_its_rule() -> None:
    async with connected(limit_bytes=10) as client:
        client.outbox.write(b"x" * 10)
        client.outbox.write(b"x", portion("disconnect", 1))
        assert client.cuts == [SlowRule("disconnect", "ticker/#")]
    async with connected(limit_bytes=10) as client:
        client.outbox.write(b"x" * 10)
        client.outbox.write(b"x")
        assert client.cuts == [DEFAULT_RULE]


# Rooms whose messages may be dropped.


def portion(policy: str, offset: int, *, room: str = "ticker/1", presence: bool = False) -> Portion:
    rule = SlowRule(policy, "ticker/#")  # type: ignore[arg-type]  # a word by a parameter
    return Portion(room, rule, 1, presence, Position("e1", offset))


def notice(count: int, offset: int, room: str = "ticker/1", more: bytes = b"") -> bytes:
    text = b'{"type":"dropped","room":"%b","count":%d,"position":["e1",%d]%b}'
    payload = text % (room.encode(), count, offset, more)
    return bytes((0x81, len(payload))) + payload


def publish(client: Client, policy: str, *offsets: int, room: str = "ticker/1") -> None:
    """Write a frame of 10 bytes for each offset."""
    for offset in offsets:
        client.outbox.write(b"%10d" % offset, portion(policy, offset, room=room))


async def read_all(client: Client) -> bytes:
    """Let the client read; return what goes out from now on."""
    before = len(client.link.sent)
    client.link.peer_reads()
    await client.outbox.drained()
    return b"".join(client.link.sent[before:])


def numbers(*offsets: int) -> bytes:
    return b"".join(b"%10d" % offset for offset in offsets)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_what_fits_is_not_dropped(policy: str) -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, policy, 1, 2, 3, 4, 5, 6, 7)
        assert await read_all(client) == numbers(1, 2, 3, 4, 5, 6, 7)
        assert client.losses == []


async def test_the_oldest_that_wait_give_way_and_the_client_is_told_in_their_place() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_oldest", 1)
        await wait_all_tasks_blocked()  # 1 is under way, and cannot be dropped any more
        publish(client, "drop_oldest", *range(2, 11))
        assert await read_all(client) == numbers(1) + notice(3, 4) + numbers(5, 6, 7, 8, 9, 10)
        assert client.cuts == []


async def test_the_newest_are_dropped_and_the_client_is_told_before_what_comes_next() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_newest", *range(1, 11))
        assert await read_all(client) == numbers(1, 2, 3, 4, 5, 6, 7) + notice(3, 10)
        publish(client, "drop_newest", 11)
        await client.outbox.drained()
        assert client.link.sent[-1] == numbers(11)


async def test_after_the_newest_was_dropped_nothing_of_the_room_overtakes_the_notice() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_newest", *range(1, 7))
        client.outbox.write(b"x" * 30, portion("drop_newest", 7))
        publish(client, "drop_newest", 8)  # which would have fitted
        assert await read_all(client) == numbers(1, 2, 3, 4, 5, 6) + notice(2, 8)


async def test_each_room_is_told_of_alone() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_oldest", 1, room="a")
        await wait_all_tasks_blocked()
        publish(client, "drop_oldest", 2, 3, room="b")
        publish(client, "drop_oldest", *range(4, 11), room="c")
        sent = await read_all(client)
        assert sent == numbers(1) + notice(2, 3, "b") + notice(1, 4, "c") + numbers(*range(5, 11))


async def test_the_first_loss_of_a_room_is_told_apart_from_those_that_follow() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_newest", *range(1, 11))
        assert [(lost.position.offset, first) for lost, first in client.losses] == [
            (8, True),
            (9, False),
            (10, False),
        ]
        await read_all(client)


async def test_that_presence_was_lost_is_told_too() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_newest", *range(1, 9))
        client.outbox.write(b"p", portion("drop_newest", 8, presence=True)._replace(publications=0))
        assert (await read_all(client)).endswith(notice(1, 8, more=b',"presence":true'))


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_replies_find_room_where_messages_are_dropped(policy: str) -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, policy, *range(1, 20))
        client.outbox.write(b"the reply.")
        assert client.cuts == []
        assert b"the reply." in await read_all(client)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_replies_that_do_not_fit_end_the_connection_and_are_not_dropped(policy: str) -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, policy, *range(1, 20))
        client.outbox.write(b"the reply.")
        client.outbox.write(b"x")
        assert client.cuts == [DEFAULT_RULE]


async def test_what_must_not_be_lost_stays_in_its_place_when_older_messages_are_dropped() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_oldest", 1)
        await wait_all_tasks_blocked()
        publish(client, "drop_oldest", 2)
        client.outbox.write(b"reply one;")
        publish(client, "drop_oldest", 3, 4)
        client.outbox.write(b"reply two;")
        publish(client, "drop_oldest", *range(5, 9))
        sent = await read_all(client)
        kept = b"reply one;reply two;" + numbers(5, 6, 7, 8)
        assert sent == numbers(1) + notice(3, 4) + kept


async def test_a_message_larger_than_all_that_may_wait_is_dropped_itself() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_oldest", 1)
        await wait_all_tasks_blocked()
        publish(client, "drop_oldest", 2)
        client.outbox.write(b"x" * 100, portion("drop_oldest", 3))
        assert await read_all(client) == numbers(1) + notice(2, 3)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_more_writes_than_the_limit_are_dropped_too(policy: str) -> None:
    async with connected(limit_writes=8) as client:
        publish(client, policy, 0)
        await wait_all_tasks_blocked()
        publish(client, policy, *range(1, 11))
        assert len(client.losses) == 3
        assert client.cuts == []


async def test_a_frame_that_the_kernel_took_in_part_is_never_dropped() -> None:
    async with connected(room=4, limit_bytes=40) as client:
        publish(client, "drop_oldest", *range(1, 11))
        await read_all(client)
        assert b"".join(client.link.sent).startswith(numbers(1) + notice(7, 8))


async def test_the_goodbye_of_a_slow_client_comes_without_notices() -> None:
    async with connected(limit_bytes=80) as client:
        publish(client, "drop_oldest", 1)
        await wait_all_tasks_blocked()
        publish(client, "drop_oldest", *range(2, 20))
        for _ in range(2):
            client.outbox.write(b"x" * 10)
        client.outbox.finish(b"bye")
        assert await read_all(client) == numbers(1) + b"bye"


async def test_no_more_is_under_way_at_once_than_can_go_stale() -> None:
    async with connected(limit_bytes=1 << 20) as client:
        for _ in range(100):
            client.outbox.write(b"x" * 10_000)
        await read_all(client)
        assert max(map(len, client.link.sent)) < 80_000
        assert sum(map(len, client.link.sent)) == 1_000_000


# Clients that take nothing.


async def test_a_client_has_moved_when_something_was_written() -> None:
    async with connected() as client:
        client.outbox.write(b"x" * 10)
        assert not client.outbox.moved()
        client.outbox.write(b"x" * 10)
        assert not client.outbox.moved()
        await read_all(client)
        assert client.outbox.moved()


async def test_a_client_has_moved_when_its_machine_confirmed_a_part_of_a_write() -> None:
    async with connected() as client:
        client.link.confirmed = -10
        client.outbox.write(b"x" * 10)
        assert not client.outbox.moved()
        assert not client.outbox.moved()
        client.link.confirmed = -9
        assert client.outbox.moved()
        assert not client.outbox.moved()


async def test_a_client_that_takes_nothing_is_cut_once_and_gets_only_the_goodbye() -> None:
    async with connected(room=3) as client:
        client.outbox.write(b"torn")
        await wait_all_tasks_blocked()
        client.outbox.write(b"waits")
        client.outbox.stall()
        client.outbox.stall()
        assert client.cuts == [SlowRule("deadline", "#")]
        client.outbox.finish(b"bye")
        assert await read_all(client) == b"nbye"


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
