"""Nodes that end in order: their users have a while to come back to another one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from rooms.server.neighbours import Neighbours
    from rooms.server.node import Node

WAITING_NODES = 100
"""Nodes that have ended and wait; of one more it is noticed that it is not listed any more."""


class Parting:
    """Has the users of nodes that have ended leave, unless they come back within the grace."""

    def __init__(self, node: Node, neighbours: Neighbours) -> None:
        self._node = node
        self._neighbours = neighbours
        self._ended, self._ending = trio.open_memory_channel[str](WAITING_NODES)

    def begin(self, node: str) -> None:
        """Note that a node has ended in order."""
        with suppress(trio.WouldBlock):
            self._ended.send_nowait(node)

    async def run(self) -> None:
        """Part with one node after the other; the waiting overlaps."""
        async with trio.open_nursery() as nursery:
            async for node in self._ending:
                nursery.start_soon(self._part, node)

    async def _part(self, node: str) -> None:
        parted = await self._neighbours.part(node)
        if parted:
            await trio.sleep(self._node.settings.presence_grace)
        for room, client, user in parted:
            self._node.hub.forget(room, client, user)
            self._node.release_room(room)
            await trio.lowlevel.checkpoint()
