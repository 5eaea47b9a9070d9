"""What the admin API says and what it is told, as types, and pages of long lists."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec

from rooms.core.admin_tokens import Role
from rooms.errors import Forced
from rooms.protocol.commands import Position
from rooms.protocol.names import NAME_BYTES
from rooms.server.client import Client
from rooms.server.rooms import RoomHandle
from rooms.server.websocket import WebSocket

PAGE = 100
LONGEST_PAGE = 1000

T = TypeVar("T")


class EventOrder(msgspec.Struct):
    """An event to publish or to send."""

    event: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_BYTES)]
    payload: Any = None


class DisconnectOrder(msgspec.Struct):
    """How to end a connection."""

    code: int = Forced.close_code
    reason: Annotated[str, msgspec.Meta(max_length=123)] = Forced.default_reason


class UserView(msgspec.Struct):
    """A user as the admin API shows it."""

    id: str
    name: str = ""


class RoomView(msgspec.Struct):
    """A room in a list.

    Attributes:
        count: How many users are in it.
        position: Of its last publication; null if it keeps none.
        nodes: The nodes where somebody is in it.
    """

    name: str
    count: int
    position: Position | None
    nodes: list[str]


class ClientView(msgspec.Struct):
    """A connection.

    Attributes:
        latency_ms: Of the last ping that was answered; null before the first.
        waiting_bytes: How much waits for the client to read it.
        node: Which node it is connected to.
    """

    id: str
    user: UserView | None
    remote: str
    path: str
    rooms: list[str]
    connected_at: float
    latency_ms: float | None
    waiting_bytes: int
    node: str


class PageQuery(msgspec.Struct):
    """Which page of a list is asked for.

    Attributes:
        limit: The most that it is to hold.
        after: The last of the page before.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE)] = PAGE
    after: str | None = None


class RoomsQuery(PageQuery):
    """Which rooms are asked for.

    Attributes:
        filter: By the rules of MQTT.
    """

    filter: str = "#"


class StatusView(msgspec.Struct):
    """How a server is."""

    status: str


class InfoView(msgspec.Struct):
    """What runs here.

    Attributes:
        started_at: Seconds since 1970.
        uptime: Seconds.
        lag: Seconds by which the event loop is late.
    """

    name: str
    version: str
    python: str
    started_at: float
    uptime: float
    rooms: int
    clients: int
    connections: int
    lag: float


class RoomsPage(msgspec.Struct):
    """Rooms by name, and the name to ask for the next page after.

    Attributes:
        unanswered: Nodes that did not answer in time: what they know is missing.
    """

    rooms: list[RoomView]
    next: str | None
    unanswered: list[str]


class RoomPage(RoomView):
    """A room, a page of its members, and the id to ask for the next page after.

    Attributes:
        unanswered: Nodes that did not answer in time: their members are missing.
    """

    members: list[ClientView]
    next: str | None
    unanswered: list[str]


class ClientsPage(msgspec.Struct):
    """Clients by id, and the id to ask for the next page after.

    Attributes:
        unanswered: Nodes that did not answer in time: their clients are missing.
    """

    clients: list[ClientView]
    next: str | None
    unanswered: list[str]


class NodeView(msgspec.Struct):
    """A node.

    Attributes:
        started_at: Seconds since 1970.
        uptime: Seconds.
        lag: Seconds by which its event loop is late.
        last_seen: Seconds since 1970.
        answered: Whether it answered just now; if not, the rest is what it told before.
    """

    id: str
    version: str
    host: str
    pid: int
    started_at: float
    uptime: float
    clients: int
    lag: float
    last_seen: float
    answered: bool


class NodesView(msgspec.Struct):
    """All nodes that are alive, the oldest first, and those that did not answer in time."""

    nodes: list[NodeView]
    unanswered: list[str]


class PublishedView(msgspec.Struct):
    """Where a publication is in its room."""

    position: Position | None


class SentView(msgspec.Struct):
    """Whom an event was sent to."""

    client: str


class DisconnectedView(msgspec.Struct):
    """Whose connection was ended, and how."""

    client: str
    code: int
    reason: str


class SessionView(msgspec.Struct):
    """Who is signed in.

    Attributes:
        name: Of the token.
        role: What it allows.
        expires_at: Seconds since 1970 after which one must sign in again; null for a token.
    """

    name: str
    role: Role
    expires_at: float | None


def room_view(room: RoomHandle, node: str) -> RoomView:
    """Return what the admin API shows of ``room``, which is open on ``node``."""
    return RoomView(room.name, room.count, room.position, [node])


def client_view(client: Client | WebSocket, node: str) -> ClientView:
    """Return what the admin API shows of ``client``, which is connected to ``node``."""
    user = client.user
    return ClientView(
        id=client.id,
        user=None if user is None else UserView(user.id, user.name),
        remote=client.remote,
        path=client.path,
        rooms=list(client.rooms),
        connected_at=client.connected_at,
        latency_ms=None if client.latency is None else round(client.latency * 1000, 3),
        waiting_bytes=client.waiting_bytes,
        node=node,
    )


def page_of(
    query: PageQuery,
    items: Iterable[T],
    name: Callable[[T], str],
    order: Callable[[str], Any] = str,
) -> tuple[list[T], str | None]:
    """Return the page that ``query`` asks for, and the name to ask for the next page after.

    Args:
        items: All of them, in any order.
        name: The unique name of an item.
        order: Sort key of the names.
    """
    limit, after = query.limit, query.after
    if after is not None:
        start = order(after)
        items = (item for item in items if order(name(item)) > start)
    found = heapq.nsmallest(limit + 1, items, key=lambda item: order(name(item)))
    more = len(found) > limit
    return found[:limit], name(found[limit - 1]) if more else None
