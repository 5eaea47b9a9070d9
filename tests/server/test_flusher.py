"""`rooms.server.flusher`: a tick's end, once and in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from rooms.core.room import Room
from rooms.core.slow import Portion
from rooms.core.tick import CHUNK, Tick
from rooms.protocol.commands import Position
from rooms.server.flusher import Flusher
from tests.core.fakes import FakeMember, TaggedDialect, push


class BoundedTick(Tick):
    """A tick that fails a task which asks it again and again without a pause."""

    asked = 0

    @property
    def waiting(self) -> bool:
        self.asked += 1
        assert self.asked < 1000, "somebody spins"
        return super().waiting


class Lobby:
    """A flusher and a room with members."""

    def __init__(self, members: int) -> None:
        self.tick = BoundedTick()
        self.flusher = Flusher(self.tick)
        self.room = Room("lobby", Position("e1", 0))
        self.dialect = TaggedDialect("1")
        self.members = [FakeMember(str(number), self.dialect) for number in range(members)]
        for member in self.members:
            self.tick.join(self.room, member)

    def publish(self, event: str) -> None:
        self.tick.publish(self.room, push(event))

    @property
    def writes(self) -> list[list[bytes]]:
        return [member.writes for member in self.members]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.flusher.run)
            await wait_all_tasks_blocked()
            yield nursery
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_what_is_published_outside_a_batch_is_written_soon_and_joined() -> None:
    lobby = Lobby(3)
    async with lobby.running():
        lobby.publish("a")
        lobby.publish("b")
        assert lobby.writes == [[], [], []]
        await wait_all_tasks_blocked()
        assert lobby.writes == [[b"1:a;1:b;"]] * 3


async def test_the_flusher_serves_one_tick_after_the_other() -> None:
    lobby = Lobby(1)
    async with lobby.running():
        for event in "abc":
            lobby.publish(event)
            await wait_all_tasks_blocked()
    assert lobby.writes == [[b"1:a;", b"1:b;", b"1:c;"]]


async def test_during_a_batch_nobody_is_woken() -> None:
    lobby = Lobby(1)
    async with lobby.running():
        lobby.flusher.batching = True
        lobby.publish("a")
        await wait_all_tasks_blocked()
        assert lobby.writes == [[]]
        lobby.flusher.batching = False
        await lobby.flusher.flush()
        assert lobby.writes == [[b"1:a;"]]


async def test_what_waited_before_the_flusher_ran_is_written() -> None:
    lobby = Lobby(1)
    lobby.publish("a")
    async with lobby.running():
        pass
    assert lobby.writes == [[b"1:a;"]]


async def test_others_run_between_the_chunks_of_a_flush() -> None:
    lobby, others = Lobby(4 * CHUNK), list[int]()

    async def count_writes() -> None:
        while True:
            others.append(sum(map(len, lobby.writes)))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_writes)
        lobby.publish("a")
        await lobby.flusher.flush()
        nursery.cancel_scope.cancel()
    assert any(0 < written < 4 * CHUNK for written in others)


async def test_a_second_flush_at_the_same_time_leaves_it_to_the_first() -> None:
    lobby = Lobby(2 * CHUNK)
    async with trio.open_nursery() as nursery:
        lobby.publish("a")
        nursery.start_soon(lobby.flusher.flush)
        nursery.start_soon(lobby.flusher.flush)
    assert lobby.writes == [[b"1:a;"]] * (2 * CHUNK)


class Echo(FakeMember):
    """A member whose first write has something else published."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__("echo", TaggedDialect("1"))
        self._lobby = lobby

    def write(self, frames: bytes, portion: Portion | None = None, /) -> None:
        super().write(frames, portion)
        if len(self.writes) == 1:
            self._lobby.publish("b")


async def test_what_is_published_while_somebody_else_flushes_is_left_to_them() -> None:
    lobby = Lobby(0)
    lobby.tick.join(lobby.room, Echo(lobby))
    lobby.members = [FakeMember(str(number), lobby.dialect) for number in range(5 * CHUNK)]
    for member in lobby.members:
        lobby.tick.join(lobby.room, member)
    async with lobby.running():
        lobby.flusher.batching = True
        lobby.publish("a")
        lobby.flusher.batching = False
        await lobby.flusher.flush()
    assert lobby.writes == [[b"1:a;", b"1:b;"]] * (5 * CHUNK)


async def test_a_flush_that_is_cancelled_does_not_block_the_next() -> None:
    lobby = Lobby(2 * CHUNK)
    lobby.publish("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await lobby.flusher.flush()
    lobby.publish("b")
    await lobby.flusher.flush()
    assert all(writes[-1].endswith(b"1:b;") for writes in lobby.writes)
