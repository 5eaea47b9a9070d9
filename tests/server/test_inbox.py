"""Commands that wait for the connection's own task."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from rooms.protocol.commands import Ping
from rooms.server.inbox import Inbox


async def test_commands_come_out_in_the_order_in_which_they_went_in() -> None:
    inbox = Inbox(3)
    for number in range(3):
        inbox.put(Ping(number))
    assert (inbox.waiting, inbox.full) == (3, True)
    assert [await inbox.get() for _ in range(3)] == [Ping(number) for number in range(3)]
    assert (inbox.waiting, inbox.full) == (0, False)


async def test_whoever_waits_gets_the_first_command(nursery: trio.Nursery) -> None:
    inbox = Inbox(3)
    got: list[object] = []

    async def get() -> None:
        got.append(await inbox.get())

    nursery.start_soon(get)
    await trio.testing.wait_all_tasks_blocked()
    inbox.put(Ping(7))
    await trio.testing.wait_all_tasks_blocked()
    assert got == [Ping(7)]


@pytest.mark.parametrize("used", [False, True])
async def test_a_closed_inbox_gives_what_it_holds_and_then_ends(used: bool) -> None:
    inbox = Inbox(3)
    if used:
        inbox.put(Ping(1))
    inbox.close()
    if used:
        assert await inbox.get() == Ping(1)
    with pytest.raises(trio.EndOfChannel):
        await inbox.get()


async def test_closing_wakes_whoever_waits(nursery: trio.Nursery) -> None:
    inbox = Inbox(3)
    ended = trio.Event()

    async def get() -> None:
        with pytest.raises(trio.EndOfChannel):
            await inbox.get()
        ended.set()

    nursery.start_soon(get)
    await trio.testing.wait_all_tasks_blocked()
    inbox.close()
    await ended.wait()


async def test_a_cancelled_wait_leaves_the_inbox_usable() -> None:
    inbox = Inbox(3)
    with trio.move_on_after(0):
        await inbox.get()
    inbox.put(Ping(1))
    assert await inbox.get() == Ping(1)
