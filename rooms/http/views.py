"""What the admin API says and what it is told, as types, and pages of long lists."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec
from quart import request

from rooms.errors import Forced
from rooms.http.errors import ApiError
from rooms.server.client import Client
from rooms.server.rooms import RoomHandle

PAGE = 100
LONGEST_PAGE = 1000

T = TypeVar("T")


class EventOrder(msgspec.Struct):
    """An event to publish or to send."""

    event: str
    payload: Any = None


class DisconnectOrder(msgspec.Struct):
    """How to end a connection."""

    code: int = Forced.close_code
    reason: Annotated[str, msgspec.Meta(max_length=123)] = Forced.default_reason


class UserView(msgspec.Struct):
    """A user as the admin API shows it."""

    id: str
    name: str


class RoomView(msgspec.Struct):
    """A room in a list."""

    name: str
    count: int
    position: Any


class ClientView(msgspec.Struct):
    """A connection.

    Attributes:
        latency_ms: Of the last ping that was answered; null before the first.
        waiting_bytes: How much waits for the client to read it.
    """

    id: str
    user: UserView | None
    remote: str
    path: str
    rooms: list[str]
    connected_at: float
    latency_ms: float | None
    waiting_bytes: int


def room_view(room: RoomHandle) -> RoomView:
    """Return what the admin API shows of ``room``."""
    return RoomView(room.name, room.count, room.position)


def client_view(client: Client) -> ClientView:
    """Return what the admin API shows of ``client``."""
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
    )


def client_order(client_id: str) -> tuple[int, str]:
    """Sort key of client ids: ``c9`` comes before ``c10``."""
    return len(client_id), client_id


def page_of(
    items: Iterable[T], name: Callable[[T], str], order: Callable[[str], Any] = str
) -> tuple[list[T], str | None]:
    """Return the page that the request asks for, and the name to ask for the next page after.

    Args:
        items: All of them, in any order.
        name: The unique name of an item.
        order: Sort key of the names.
    """
    limit, after = _limit(), request.args.get("after")
    if after is not None:
        start = order(after)
        items = (item for item in items if order(name(item)) > start)
    found = heapq.nsmallest(limit + 1, items, key=lambda item: order(name(item)))
    more = len(found) > limit
    return found[:limit], name(found[limit - 1]) if more else None


def _limit() -> int:
    text = request.args.get("limit", str(PAGE))
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= LONGEST_PAGE:
        return int(text)
    raise ApiError(422, "invalid", f"limit must be a number from 1 to {LONGEST_PAGE}.")
