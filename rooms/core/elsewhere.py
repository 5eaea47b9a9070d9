"""Who is in this node's rooms by way of other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rooms.core.hub import Hub
from rooms.core.room import Room
from rooms.protocol.bus import Present, RoomChange, RoomsChanged

Clients = dict[str, Present]
Place = tuple[str, str]
"""A room and a node."""

Lost = tuple[Room, str, str]
"""A room, a client that was in it, and its user."""


class Snapshot(NamedTuple):
    """What a node held of a room, and the number of its last change to that."""

    number: int
    clients: Clients


class _Peer:
    """What is known of another node.

    Attributes:
        heard: The number of its last change that was heard, or was in what was read.
    """

    __slots__ = ("heard", "rooms")

    def __init__(self, heard: int) -> None:
        self.heard = heard
        self.rooms: dict[str, Clients] = {}


class Reading:
    """Rooms that are being read, and what changed there meanwhile."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        self._wanted = frozenset(places)
        self._heard: dict[Place, list[tuple[int, RoomChange]]] = {}

    def note(self, node: str, number: int, room: str, change: RoomChange) -> None:
        """Note a change, if it is to one of the places."""
        if (room, node) in self._wanted:
            self._heard.setdefault((room, node), []).append((number, change))

    def bring_up(self, place: Place, read: Snapshot) -> Clients:
        """Return who is at a place: what was read, and what was heard since it was written."""
        clients = dict(read.clients)
        for number, change in self._heard.get(place, ()):
            if number > read.number:
                apply_change(clients, change)
        return clients


class Elsewhere:
    """Keeps the rosters of open rooms in step with what other nodes tell of theirs.

    Every node numbers its changes.  Where a number is missing, what the node holds has to be read
    again; what is heard while that is under way is not lost and does not count twice.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._peers: dict[str, _Peer] = {}
        self._readings: dict[Reading, None] = {}

    def __contains__(self, node: str) -> bool:
        return node in self._peers

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._peers))

    def meet(self, node: str, told: int) -> None:
        """Note that a node is there, and that what is read of it from now on has ``told`` in it."""
        peer = self._peers.get(node)
        if peer is None:
            self._peers[node] = _Peer(told)
        else:
            peer.heard = max(peer.heard, told)

    def is_behind(self, node: str, told: int) -> bool:
        """Whether a node has told of more changes than were heard."""
        return self._peers[node].heard < told

    def hear(self, node: str, message: RoomsChanged) -> bool:
        """Apply changes; returns False if some before them are missing: read the node again."""
        peer = self._peers.get(node)
        if peer is None:
            return True  # it is read when it is met
        complete = message.number <= peer.heard + 1
        if message.number > peer.heard:
            peer.heard = message.number
            for room, change in message.rooms.items():
                self._hear_change(node, peer, message.number, room, change)
        return complete

    def _hear_change(
        self, node: str, peer: _Peer, number: int, room: str, change: RoomChange
    ) -> None:
        for reading in self._readings:
            reading.note(node, number, room, change)
        opened = self._hub.rooms.get(room)
        if opened is None:
            return
        if change.whole:
            self._set(peer, opened, {})
        for client, present in change.clients.items():
            self._put(peer, opened, client, present)

    def begin(self, places: Iterable[Place]) -> Reading:
        """Remember what changes at these places until `finish`, which must follow."""
        reading = Reading(tuple(places))
        self._readings[reading] = None
        return reading

    def finish(self, reading: Reading, read: Mapping[Place, Snapshot]) -> None:
        """Take over what was read; places of which nothing was read stay as they are."""
        del self._readings[reading]
        for (name, node), snapshot in read.items():
            peer, room = self._peers.get(node), self._hub.rooms.get(name)
            if peer is not None and room is not None:
                self._set(peer, room, reading.bring_up((name, node), snapshot))

    def close_room(self, name: str) -> None:
        """Forget who is in a room that nobody here is in any more."""
        for peer in self._peers.values():
            peer.rooms.pop(name, None)

    def drop(self, node: str) -> Iterator[None]:
        """Take all connections of a node out; stops after each room, so that others may run."""
        for room, clients in self._take(node):
            for client, present in clients.items():
                self._hub.leave_elsewhere(room, client, present.user)
            yield

    def part(self, node: str) -> Iterator[list[Lost]]:
        """As `drop`, but the others think that all are still there, until `Hub.forget`."""
        for room, clients in self._take(node):
            for client, present in clients.items():
                room.roster.linger(present.user, client)
            yield [(room, client, present.user) for client, present in clients.items()]

    def _take(self, node: str) -> Iterator[tuple[Room, Clients]]:
        """Forget a node, and yield who is in our rooms by way of it."""
        peer = self._peers.pop(node, None)
        held = {} if peer is None else peer.rooms
        opened = [(self._hub.rooms[name], clients) for name, clients in held.items()]
        for room, clients in opened:
            if self._hub.rooms.get(room.name) is room:  # not closed while others ran
                yield room, clients

    def _set(self, peer: _Peer, room: Room, clients: Clients) -> None:
        """Make the roster say that these are a node's connections in a room."""
        for client in tuple(peer.rooms.get(room.name, ())):
            if client not in clients:
                self._put(peer, room, client, None)
        for client, present in clients.items():
            self._put(peer, room, client, present)

    def _put(self, peer: _Peer, room: Room, client: str, now: Present | None) -> None:
        """Make the roster say what a node says of one connection; None is that it is gone."""
        clients = peer.rooms.setdefault(room.name, {})
        before = clients.pop(client, None)
        if now is not None:
            clients[client] = now
        elif not clients:
            del peer.rooms[room.name]
        if before is not None and now is not None and before.user == now.user:
            self._hub.change_elsewhere(room, client, now.user, now.told)
            return
        if before is not None:
            self._hub.leave_elsewhere(room, client, before.user)
        if now is not None:
            self._hub.join_elsewhere(room, client, now.user, now.told)


def apply_change(clients: Clients, change: RoomChange) -> None:
    """Change who is there as a node told it."""
    if change.whole:
        clients.clear()
    for client, present in change.clients.items():
        if present is None:
            clients.pop(client, None)
        else:
            clients[client] = present
