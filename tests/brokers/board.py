"""What nodes share, in one process and in virtual time; and all that can go wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from rooms.brokers.base import Broker
from rooms.brokers.notes import Note, Notes
from rooms.brokers.peers import (
    HOLD_SECONDS,
    LEASE_SECONDS,
    Change,
    Hear,
    Held,
    Lease,
    Missed,
    Peers,
)
from rooms.errors import Unavailable
from tests.brokers.bus import Bus, BusBroker


@dataclass
class _Place:
    number: int = 0
    entries: dict[str, bytes] = field(default_factory=dict)
    until: float = 0.0


@dataclass
class _Claim:
    secret: str
    value: str
    until: dict[str, float] = field(default_factory=dict)


class Board:
    """What the engine holds, and the way to every node.

    Attributes:
        places: What is held, by room and node.
        told: Every message, with the node that it was told to.
    """

    def __init__(self) -> None:
        self.leases: dict[str, tuple[bytes, float]] = {}
        self.places: dict[tuple[str, str], _Place] = {}
        self.claims: dict[str, _Claim] = {}
        self.notes: dict[str, tuple[bytes, float]] = {}
        self.nodes: dict[str, BoardPeers] = {}
        self.told: list[bytes] = []

    def lose_everything(self) -> None:
        """Be restarted without a file."""
        self.leases.clear()
        self.places.clear()
        self.claims.clear()
        self.notes.clear()

    def expire(self) -> None:
        """Forget what is over."""
        now = trio.current_time()
        old = now - LEASE_SECONDS
        self.leases = {node: each for node, each in self.leases.items() if each[1] > old}
        self.places = {key: place for key, place in self.places.items() if place.until > now}
        self.notes = {name: each for name, each in self.notes.items() if each[1] > now}
        for name, claim in list(self.claims.items()):
            claim.until = {node: until for node, until in claim.until.items() if until > now}
            if not claim.until:
                del self.claims[name]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        self.expire()
        return not (self.leases or self.places or self.claims)


class BoardPeers(Peers):
    """One node's way to a `Board`.

    Attributes:
        cut: Whether nothing reaches the board.
        deaf: Whether what is told is lost on the way to this node.
        slow: Whether names are not released for as long as a test waits.
        calls: How often the board was asked to hold or to read something.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.cut = False
        self.deaf = self.slow = False
        self.calls = 0
        self._node = ""
        self._hear: Hear
        self.missed: Missed

    @asynccontextmanager
    async def open(self, node: str, hear: Hear, missed: Missed) -> AsyncIterator[None]:
        self._node, self._hear, self.missed = node, hear, missed
        self.board.nodes[node] = self
        try:
            yield
        finally:
            del self.board.nodes[node]

    async def join(self, info: bytes) -> dict[str, Lease]:
        await self.reach()
        self.board.leases[self._node] = info, trio.current_time()
        return self._listed()

    async def renew(self, info: bytes) -> dict[str, Lease] | None:
        await self.reach()
        if self._node not in self.board.leases:
            return None
        self.board.leases[self._node] = info, trio.current_time()
        return self._listed()

    async def leave(self) -> None:
        await self.reach()
        self.board.leases.pop(self._node, None)

    async def tell(self, message: bytes, node: str | None = None) -> None:
        await self.reach()
        self.board.told.append(message)
        for each in list(self.board.nodes.values()):
            if (node is None or each._node == node) and not each.deaf and not each.cut:
                each._hear(message)

    async def hold(self, number: int, changes: Sequence[Change]) -> None:
        await self.reach()
        self.calls += 1
        for change in changes:
            self._hold(number, change)

    async def held(self, places: Sequence[tuple[str, str]]) -> list[Held]:
        await self.reach()
        self.calls += 1
        found = [self.board.places.get(place, _Place()) for place in places]
        return [Held(place.number, dict(place.entries)) for place in found]

    async def keep(self, rooms: Sequence[str]) -> list[str]:
        await self.reach()
        kept = [room for room in rooms if (room, self._node) in self.board.places]
        for room in kept:
            self.board.places[room, self._node].until = trio.current_time() + HOLD_SECONDS
        return [room for room in rooms if room not in kept]

    async def claim(self, name: str, secret: str, value: str, nodes: Sequence[str]) -> str | None:
        await self.reach()
        claim = self.board.claims.get(name)
        if claim is not None and claim.secret != secret and not claim.until.keys() & set(nodes):
            claim = None
        if claim is None:
            claim = self.board.claims[name] = _Claim(secret, value)
        if claim.secret != secret:
            return None
        claim.until[self._node] = trio.current_time() + HOLD_SECONDS
        return claim.value

    async def release(self, name: str) -> None:
        if self.slow:
            await trio.sleep_forever()
        await self.reach()
        claim = self.board.claims.get(name)
        if claim is not None:
            claim.until.pop(self._node, None)
            if not claim.until:
                del self.board.claims[name]

    async def reach(self) -> None:
        """Get as far as the board.

        Raises:
            Unavailable: Something is cut.
        """
        await trio.lowlevel.checkpoint()
        if self.cut:
            raise Unavailable("the board cannot be reached")
        self.board.expire()

    def _listed(self) -> dict[str, Lease]:
        now = trio.current_time()
        leases = self.board.leases.items()
        return {node: Lease(info, now - renewed) for node, (info, renewed) in leases}

    def _hold(self, number: int, change: Change) -> None:
        key = (change.room, self._node)
        place = _Place() if change.whole else self.board.places.get(key, _Place())
        place.number = number
        place.until = trio.current_time() + HOLD_SECONDS
        for client, entry in change.entries.items():
            if entry is None:
                place.entries.pop(client, None)
            else:
                place.entries[client] = entry
        self.board.places[key] = place
        if not place.entries:
            del self.board.places[key]


class BoardNotes(Notes):
    """The notes on a board, by the way of one node."""

    def __init__(self, peers: BoardPeers) -> None:
        self._peers = peers

    async def write(self, notes: Sequence[Note]) -> None:
        kept = await self._kept()
        for name, value, seconds in notes:
            _, known = kept.get(name, (b"", 0.0))
            kept[name] = value, max(known, trio.current_time() + seconds)

    async def read(self) -> list[Note]:
        kept, now = await self._kept(), trio.current_time()
        return [Note(name, value, ends - now) for name, (value, ends) in kept.items()]

    async def _kept(self) -> dict[str, tuple[bytes, float]]:
        await self._peers.reach()
        return self._peers.board.notes


class BoardBroker(BusBroker):
    """A broker for several nodes that share more than publications."""

    def __init__(self, bus: Bus, peers: BoardPeers) -> None:
        super().__init__(bus)
        self._peers = peers
        self._notes = BoardNotes(peers)

    @property
    def notes(self) -> Notes | None:
        return self._notes

    @property
    def peers(self) -> Peers | None:
        return self._peers


def brokers_of(board: Board, nodes: int) -> list[BoardBroker]:
    """Return brokers of several nodes that share a board."""
    bus = Bus()
    return [BoardBroker(bus, BoardPeers(board)) for _ in range(nodes)]


def peers_of(broker: Broker) -> BoardPeers:
    """Return what a broker's node has in its hands."""
    assert isinstance(broker.peers, BoardPeers)
    return broker.peers
