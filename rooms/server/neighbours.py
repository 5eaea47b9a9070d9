"""Keeps what is known of other nodes' connections up to date: whom to read, whom to drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog
import trio

from rooms.brokers.peers import LEASE_SECONDS, Held, Lease, Peers
from rooms.core.elsewhere import Elsewhere, Lost, Place, Snapshot
from rooms.core.hub import Hub
from rooms.errors import Unavailable
from rooms.protocol.bus import NodeInfo, Present, RoomsChanged

READ_PLACES = 200
"""What is read by one call: so many rooms of one node, or of several."""

log = structlog.get_logger("rooms")
_presents = msgspec.json.Decoder(Present)


class Neighbour(NamedTuple):
    """What another node said of itself, and when, by Trio's clock."""

    info: NodeInfo
    seen_at: float


class Neighbours:
    """The other nodes that are alive, and who is in our rooms by way of them.

    What a node holds is read anew only after it has been seen listed: what an engine that lost
    everything holds of the others would else be taken for the truth.

    Args:
        look: Has the list of nodes looked at soon.

    Attributes:
        known: By id.
    """

    def __init__(self, node: str, hub: Hub, peers: Peers, look: Callable[[], None]) -> None:
        self._node = node
        self._hub = hub
        self._peers = peers
        self._elsewhere = Elsewhere(hub)
        self._stale: dict[str, None] = {}
        self._look = look
        self._patient_until = -float("inf")
        self.known: dict[str, Neighbour] = {}

    async def see(self, listed: Mapping[str, Lease]) -> None:
        """Take note of the nodes that are alive, read what is new, and drop who is gone.

        Raises:
            Unavailable: Something could not be read; it is read when this is called again.
        """
        now = trio.current_time()
        for node, lease in listed.items():
            if node != self._node:
                self._see_one(node, _info(node, lease.info), now - lease.age)
        if now >= self._patient_until:
            for node in [each for each in self._elsewhere if each not in listed]:
                log.warning("a node is gone", node=node)
                await self.drop(node)
        for node in [each for each in self._stale if each in listed]:
            await self._read_node(node)

    def _see_one(self, node: str, info: NodeInfo, seen_at: float) -> None:
        before = self.known.get(node)
        self.known[node] = Neighbour(info, seen_at)
        if node not in self._elsewhere:
            log.info("a node is there", node=node, version=info.version)
        elif before is None or not self._elsewhere.is_behind(node, before.info.told):
            return
        self._elsewhere.meet(node, info.told)  # had it told of more, that long ago?
        self._stale[node] = None

    def be_patient(self) -> None:
        """Drop nobody for a while: who lost the lease with us needs time to come back."""
        self._patient_until = trio.current_time() + LEASE_SECONDS

    def read_all(self) -> None:
        """Read anew what all nodes hold: something of what they told may be lost."""
        for node in self._elsewhere:
            self._outdate(node)

    async def drop(self, node: str) -> None:
        """Take out all connections of a node."""
        self._forget(node)
        for _ in self._elsewhere.drop(node):
            await trio.lowlevel.checkpoint()

    async def part(self, node: str) -> list[Lost]:
        """As `drop`, but nobody is said to have left before `Hub.forget` is called for each."""
        self._forget(node)
        parted: list[Lost] = []
        for lost in self._elsewhere.part(node):
            parted += lost
            await trio.lowlevel.checkpoint()
        return parted

    def _forget(self, node: str) -> None:
        self.known.pop(node, None)
        self._stale.pop(node, None)

    def hear_announced(self, node: str, told: int) -> None:
        """Have a node read that says that it is there."""
        if node in self._elsewhere:
            self._elsewhere.meet(node, told)
            self._outdate(node)
        else:
            self._look()

    def hear(self, node: str, message: RoomsChanged) -> None:
        """Take over what a node tells of its connections."""
        if not self._elsewhere.hear(node, message):
            self._outdate(node)

    async def open_room(self, name: str) -> None:
        """Read who is in a room that was opened here.

        Raises:
            Unavailable: That cannot be known for the moment.
        """
        await self._read([(name, node) for node in self._elsewhere])

    def close_room(self, name: str) -> None:
        """Forget who is in a room that nobody here is in any more."""
        self._elsewhere.close_room(name)

    async def _read_node(self, node: str) -> None:
        if node not in self._stale:
            return  # it has gone while another one was read
        del self._stale[node]  # what makes it stale from now on has it read once more
        try:
            await self._read([(room, node) for room in self._hub.rooms])
        except Unavailable:
            if node in self._elsewhere:
                self._stale[node] = None
            raise

    def _outdate(self, node: str) -> None:
        self._stale[node] = None
        self._look()

    async def _read(self, places: Sequence[Place]) -> None:
        reading = self._elsewhere.begin(places)
        read: dict[Place, Snapshot] = {}
        try:
            for start in range(0, len(places), READ_PLACES):
                chunk = places[start : start + READ_PLACES]
                held = await self._peers.held(chunk)
                read.update(zip(chunk, map(_snapshot, held), strict=True))
        finally:
            self._elsewhere.finish(reading, read)


def _info(node: str, data: bytes) -> NodeInfo:
    """Return what a node tells of itself; of what cannot be understood, that it is there."""
    try:
        return msgspec.json.decode(data, type=NodeInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NodeInfo(node)


def _snapshot(held: Held) -> Snapshot:
    return Snapshot(held.number, dict(_clients(held.entries.items())))


def _clients(entries: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, Present]]:
    for client, data in entries:
        try:
            yield client, _presents.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("an unreadable entry of a node is ignored", client=client)
