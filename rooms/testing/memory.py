"""An application without a network: connections over memory streams, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from rooms.brokers.base import Broker
from rooms.config import Settings
from rooms.errors import ShuttingDown
from rooms.server.app import App
from rooms.server.door import Door
from rooms.server.node import Node
from rooms.testing.client import TestClient


class MemoryServer:
    """A running application that takes connections over memory streams; see `in_memory`."""

    def __init__(self, node: Node, nursery: trio.Nursery) -> None:
        self.node = node
        self.nursery = nursery
        self._door = Door(node)
        self._streams: list[trio.abc.Stream] = []

    def open_stream(self) -> trio.abc.Stream:
        """Return the client's end of a new connection; nothing has been sent on it."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._door.serve_stream, theirs, "memory")
        self._streams.append(ours)
        return ours

    async def stop(self) -> None:
        """End every connection as a server does that shuts down, without waiting for clients."""
        for session in self.node.connections:
            session.end(ShuttingDown())
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        await self.node.idle()

    async def connect(self, *, path: str = "/ws", headers: str = "") -> TestClient:
        """Connect a client, do the handshake and take the greeting."""
        client = TestClient(self.open_stream())
        await client.handshake(path, headers)
        await client.welcome()
        return client


@asynccontextmanager
async def in_memory(
    app: App, settings: Settings | None = None, broker: Broker | None = None
) -> AsyncIterator[MemoryServer]:
    """Run ``app`` without a listener while the block runs; its clients connect through memory.

    Works with Trio's virtual clock: ``async def test_…(autojump_clock)``.
    """
    async with app.running(settings, broker) as node, trio.open_nursery() as nursery:
        server = MemoryServer(node, nursery)
        yield server
        await server.stop()
        nursery.cancel_scope.cancel()
