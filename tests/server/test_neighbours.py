"""`rooms.server.neighbours`: nodes come and go while others are read."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import wait_all_tasks_blocked

from rooms.brokers.peers import Held, Lease
from rooms.core.hub import Hub
from rooms.core.room import NOWHERE
from rooms.core.tick import Tick
from rooms.server.neighbours import Neighbours
from tests.brokers.board import Board, BoardPeers


class SlowPeers(BoardPeers):
    """Answers what is held when a test lets it."""

    def __init__(self) -> None:
        super().__init__(Board())
        self.answering = trio.Event()

    async def held(self, places: Sequence[tuple[str, str]]) -> list[Held]:
        await self.answering.wait()
        return await super().held(places)


async def test_a_node_may_end_while_another_one_is_read(autojump_clock: object) -> None:
    hub = Hub(Tick())
    hub.open_room("lobby", NOWHERE)
    peers = SlowPeers()
    neighbours = Neighbours("us", hub, peers, lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbours.see, {"a": Lease(b"{}", 0), "b": Lease(b"{}", 0)})
        await wait_all_tasks_blocked()
        for node in ("a", "b"):  # one is being read, the other is next
            assert await neighbours.part(node) == []
        peers.answering.set()
    assert neighbours.known == {}
