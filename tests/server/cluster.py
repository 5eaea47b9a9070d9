"""Several nodes of one application, in one process and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from rooms import App, Settings
from rooms.server.cluster import Cluster
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.brokers.board import Board, BoardPeers, brokers_of, peers_of


def guest_app() -> App:
    """An application with a relay and guests."""
    return App(relay=True, guests=True)


@dataclass
class Member:
    """One node: its server, and its way to the board."""

    server: MemoryServer
    peers: BoardPeers
    app: App

    @property
    def cluster(self) -> Cluster:
        """What it knows of the others."""
        assert self.server.node.cluster is not None
        return self.server.node.cluster

    async def enter(self, name: str = "", room: str = "lobby") -> TestClient:
        """Connect, sign in if there is a name, and join."""
        client = await self.server.connect()
        if name:
            reply = await client.request(type="auth", name=name, secret=name)
            assert reply["type"] == "reply", reply
        if room:
            await client.join(room)
        return client

    def users(self, room: str = "lobby") -> dict[str, list[dict[str, Any]]]:
        """Who is in a room, as this node knows it."""
        return dict(self.app.room(room).presence())


@asynccontextmanager
async def opened(
    nodes: int, board: Board, make_app: Callable[[], App] = guest_app, **settings: Any
) -> AsyncIterator[list[Member]]:
    """Run several nodes that share ``board`` while the block runs."""
    settings = {"ping_seconds": 3600, "pong_seconds": 3600, **settings}  # these clients are lazy
    async with AsyncExitStack() as stack:
        members = []
        for broker in brokers_of(board, nodes):
            app = make_app()
            opening = in_memory(app, Settings(**settings), broker)
            server = await stack.enter_async_context(opening)
            members.append(Member(server, peers_of(broker), app))
        await settled()
        yield members
        for member in members:
            member.peers.cut = member.peers.deaf = False


async def pass_time(seconds: float) -> None:
    """Let virtual time pass: every test of these takes the clock that jumps."""
    with trio.move_on_after(seconds):
        await trio.sleep_forever()


async def settled() -> None:
    """Wait until all that nodes do at once has been done."""
    await wait_all_tasks_blocked()
    await pass_time(0.2)  # what is collected for a moment
    await wait_all_tasks_blocked()


async def told(client: TestClient) -> list[dict[str, Any]]:
    """Return the changes of presence that a client has been told until now."""
    await pass_time(2 * Settings().presence_seconds)
    await client.send(type="ping")
    changes: list[dict[str, Any]] = []
    while (message := await client.receive())["type"] != "pong":
        changes.append(message)
    assert {change["type"] for change in changes} <= {"presence"}
    return changes


def summary(changes: list[dict[str, Any]]) -> list[tuple[list[str], list[str], int]]:
    """Return who joined, who left and how many there were, of each change."""
    return [(sorted(each["joined"]), sorted(each["left"]), each["count"]) for each in changes]


def everybody(changes: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return all who joined and all who left, once for each time."""
    joined = sorted(user for each in changes for user in each["joined"])
    return joined, sorted(user for each in changes for user in each["left"])
