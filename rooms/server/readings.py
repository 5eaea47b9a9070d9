"""What a node is like when somebody looks: numbers that cost nothing until they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import trio

if TYPE_CHECKING:
    from rooms.server.node import Node
    from rooms.server.raw import RawConnection
    from rooms.server.session import Session

Kind = Literal["gauge", "counter"]
"""Whether a number goes up and down, or only up."""


@dataclass(slots=True)
class Load:
    """What all open connections of a node come to.

    Attributes:
        clients: How many they are.
        received: Messages that came from them.
        received_bytes: Bytes that came from them.
        memberships: Rooms that they are in, summed.
        filters: Filters that they follow, summed.
        users: The different users behind them.
        paused: How many are not read because their inbox is full.
        inbox: Commands that wait for handlers.
        behind: How many have bytes waiting for them.
        outbox: Bytes that wait, in all.
        largest: Bytes that wait for the one with the most.
        latencies: Seconds from the last ping to its pong, of those that have answered one.
    """

    clients: int = 0
    received: int = 0
    received_bytes: int = 0
    memberships: int = 0
    filters: int = 0
    users: set[str] = field(default_factory=set)
    paused: int = 0
    inbox: int = 0
    behind: int = 0
    outbox: int = 0
    largest: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def latency(self) -> float:
        """The mean of the latencies, 0 if there is none."""
        return sum(self.latencies) / max(1, len(self.latencies))

    def add(self, session: Session) -> None:
        """Add one connection."""
        self.clients += 1
        self.received += session.received
        self.received_bytes += session.received_bytes
        self.memberships += len(session.rooms)
        self.filters += len(session.filters)
        if session.origin.user is not None:
            self.users.add(session.origin.user)
        self.paused += session.full
        self.inbox += session.inbox_messages
        self._add_outbox(session.outbox.waiting_bytes)
        if session.latency is not None:
            self.latencies.append(session.latency)

    def add_endpoint(self, connection: RawConnection) -> None:
        """Add one connection to an endpoint of the application's own."""
        if connection.wire is None:  # it is not accepted yet
            return
        self.clients += 1
        self.received += connection.received
        self.received_bytes += connection.received_bytes
        if connection.identity is not None:
            self.users.add(connection.identity.user.id)
        self.paused += connection.wire.full
        self._add_outbox(connection.wire.outbox.waiting_bytes)
        if connection.latency is not None:
            self.latencies.append(connection.latency)

    def _add_outbox(self, size: int) -> None:
        if size:
            self.behind += 1
            self.outbox += size
            self.largest = max(self.largest, size)


class Reading(NamedTuple):
    """A number that is read from a node: one sentence, and where to look."""

    help: str
    read: Callable[[Node, Load], float]
    kind: Kind = "gauge"


READINGS: dict[str, Reading] = {
    "connections": Reading(
        "Connections to the port, those of HTTP included.",
        lambda node, load: node.admission.connections,
    ),
    "connections_limit": Reading(
        "Connections that there may be.",
        lambda node, load: node.admission.limit,
    ),
    "clients": Reading(
        "Clients that are connected.",
        lambda node, load: load.clients,
    ),
    "connects": Reading(
        "Clients that connected.",
        lambda node, load: load.clients + node.counters.total("disconnects"),
        "counter",
    ),
    "users": Reading(
        "Different users who are signed in.",
        lambda node, load: len(load.users),
    ),
    "open_rooms": Reading(
        "Rooms that somebody is in.",
        lambda node, load: len(node.hub.rooms),
    ),
    "memberships": Reading(
        "Rooms that connections are in, summed over the connections.",
        lambda node, load: load.memberships,
    ),
    "present_users": Reading(
        "Users that presence tells of, summed over the rooms.",
        lambda node, load: sum(len(room.roster) for room in node.hub.rooms.values()),
    ),
    "filters": Reading(
        "Filters that connections subscribe to, summed over the connections.",
        lambda node, load: load.filters,
    ),
    "messages_received": Reading(
        "Messages that clients sent.",
        lambda node, load: node.received + load.received,
        "counter",
    ),
    "received_bytes": Reading(
        "Bytes that clients sent.",
        lambda node, load: node.received_bytes + load.received_bytes,
        "counter",
    ),
    "messages_sent": Reading(
        "Messages to clients; one to a room counts once, whatever the number of its members.",
        lambda node, load: node.tick.order,
        "counter",
    ),
    "latency_seconds": Reading(
        "Mean time from a ping to its pong, over the clients.",
        lambda node, load: load.latency,
    ),
    "clients_behind": Reading(
        "Clients for whom something waits because they read slowly.",
        lambda node, load: load.behind,
    ),
    "outbox_bytes": Reading(
        "Bytes that wait for clients, in all.",
        lambda node, load: load.outbox,
    ),
    "outbox_largest_bytes": Reading(
        "Bytes that wait for the client for whom most wait.",
        lambda node, load: load.largest,
    ),
    "clients_paused": Reading(
        "Clients that are not read because their inbox is full.",
        lambda node, load: load.paused,
    ),
    "inbox_messages": Reading(
        "Messages of clients that wait for handlers, in all.",
        lambda node, load: load.inbox,
    ),
    "lag_seconds": Reading(
        "How late the event loop is.",
        lambda node, load: node.lag.seconds,
    ),
    "overloaded": Reading(
        "1 while new clients are turned away because the event loop is late, else 0.",
        lambda node, load: node.overloaded,
    ),
    "broker_healthy": Reading(
        "1 while publications can be stored, else 0.",
        lambda node, load: node.broker.problem is None,
    ),
    "broker_failures": Reading(
        "Times that a connection to the broker's engine failed.",
        lambda node, load: node.broker.counts["failures"],
        "counter",
    ),
    "broker_deaf": Reading(
        "Times that what was sent through the broker's engine did not come back.",
        lambda node, load: node.broker.counts["deaf"],
        "counter",
    ),
    "broker_given_up": Reading(
        "Calls that the broker's engine did not answer in time.",
        lambda node, load: node.broker.counts["given_up"],
        "counter",
    ),
    "broker_lost": Reading(
        "Publications that the broker could not bring to this node.",
        lambda node, load: node.broker.counts["lost"],
        "counter",
    ),
    "broker_ignored": Reading(
        "Messages on rooms' channels of the broker that were not ours, or a newer version's.",
        lambda node, load: node.broker.counts["ignored"],
        "counter",
    ),
    "broker_epochs": Reading(
        "Times that a room began a new epoch because the broker had lost its count.",
        lambda node, load: node.broker.counts["epochs"],
        "counter",
    ),
    "nodes": Reading(
        "Nodes that are alive, this one included.",
        lambda node, load: 1 if node.cluster is None else 1 + len(node.cluster.known),
    ),
    "draining": Reading(
        "1 while the server is stopping, else 0.",
        lambda node, load: node.draining,
    ),
    "tasks": Reading(
        "Trio tasks that are alive.",
        lambda node, load: trio.lowlevel.current_statistics().tasks_living,
    ),
}
"""Everything that is read when it is asked for; `/metrics` and the documentation are made of it."""


def load_of(node: Node) -> Load:
    """Return what the open connections of ``node`` come to, in one pass over them."""
    load = Load()
    for session in node.sessions.values():
        load.add(session)
    for connection in node.endpoints.values():
        load.add_endpoint(connection)
    return load
