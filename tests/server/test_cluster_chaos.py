"""Whatever goes wrong between nodes, in the end all know who is there."""

from __future__ import annotations

import random

import pytest
import trio

from rooms.brokers.peers import HOLD_SECONDS
from rooms.testing import TestClient
from tests.brokers.board import Board
from tests.server.cluster import Member, opened, pass_time, settled

ROOMS = ("a", "b")
STEPS = 60


class Run:
    """Nodes whose clients come and go while the board is cut off, deaf, or loses everything."""

    def __init__(self, members: list[Member], board: Board, seed: int) -> None:
        self.members = members
        self.board = board
        self.random = random.Random(seed)
        self.clients: list[tuple[Member, TestClient]] = []

    async def step(self) -> None:
        """Do one thing, and let some time pass."""
        member = self.random.choice(self.members)
        deed = self.random.choice(
            [
                self.come,
                self.come,
                self.join,
                self.join,
                self.leave,
                self.leave,
                self.go,
                self.break_,
            ]
        )
        await deed(member)
        await pass_time(self.random.choice([0, 0.01, 0.3, 2]))

    async def come(self, member: Member) -> None:
        """Connect as one of a few users, or as nobody."""
        client = await member.server.connect()
        name = self.random.choice(["", "Ana", "Ben", "Cem"])
        if name:
            await client.request(type="auth", name=name, secret="s")
        self.clients.append((member, client))

    async def join(self, member: Member) -> None:
        """Have a client join a room, if it can."""
        if self.clients:
            _, client = self.random.choice(self.clients)
            await client.request(type="join", room=self.random.choice(ROOMS))

    async def leave(self, member: Member) -> None:
        """Have a client leave a room, if it is in it."""
        if self.clients:
            _, client = self.random.choice(self.clients)
            await client.request(type="leave", room=self.random.choice(ROOMS))

    async def go(self, member: Member) -> None:
        """Lose a connection."""
        if self.clients:
            gone = self.clients.pop(self.random.randrange(len(self.clients)))
            await trio.aclose_forcefully(gone[1].stream)

    async def break_(self, member: Member) -> None:
        """Break something, or have it whole again."""
        fault = self.random.randrange(5)
        if fault == 0:
            member.peers.cut = not member.peers.cut
        elif fault == 1:
            member.peers.deaf = not member.peers.deaf
        elif fault == 2:
            self.board.lose_everything()
        elif fault == 3:
            await pass_time(self.random.choice([5, 15]))
        else:
            self.heal()

    def heal(self) -> None:
        """Have everything whole."""
        for member in self.members:
            member.peers.cut = member.peers.deaf = False

    def present(self, room: str) -> dict[str, list[str]]:
        """Return who is in a room: each user, with the connections."""
        users: dict[str, list[str]] = {}
        for member in self.members:
            for client in member.app.room(room).members:
                users.setdefault(client.user.id if client.user else client.id, []).append(client.id)
        return {user: sorted(users[user]) for user in sorted(users)}


@pytest.mark.parametrize("seed", range(4, 8))
async def test_in_the_end_all_nodes_know_who_is_there(autojump_clock: object, seed: int) -> None:
    board = Board()
    async with opened(3, board, presence_grace=1) as members:
        run = Run(members, board, seed)
        for _ in range(STEPS):
            await run.step()
        run.heal()
        await trio.sleep(30)
        for room in ROOMS:
            expected = run.present(room)
            for member in members:
                opened_here = room in member.app.room_names
                known = member.users(room) if opened_here else {}
                shown = {user: sorted(e["client"] for e in known[user]) for user in known}
                assert shown == (expected if opened_here else {})
    await settled()
    await trio.sleep(HOLD_SECONDS)
    assert board.is_empty
