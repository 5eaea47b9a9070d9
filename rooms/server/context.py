"""What a handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from rooms.errors import Disconnect

if TYPE_CHECKING:
    from rooms.server.app import App
    from rooms.server.client import Client
    from rooms.server.rooms import RoomHandle

P = TypeVar("P")


class Event(msgspec.Struct):
    """Base of an application's typed payloads."""


@dataclass(slots=True)
class Context(Generic[P]):
    """One event, as its handler sees it.

    Attributes:
        app: The application.
        client: Who sent the event, or whose connection began or ended.
        event: Its name.
        payload: Decoded and validated as the handler's ``Context[...]`` asks.
        room: Where it was sent, if it was sent to a room; the client is a member of it.
        key: Of an event that its sender may send again: pass it on to ``ctx.room.publish`` and
            what is published is published once.
        reason: Why the connection ended; only in ``disconnected``.
        headers: What came beside the payload, in dialects that have such a thing.
    """

    app: App
    client: Client
    event: str
    payload: P
    room: RoomHandle | None = None
    key: str | None = None
    reason: Disconnect | None = None
    headers: dict[str, Any] = field(default_factory=dict)

    async def send(
        self, event: str, payload: Any = None, headers: dict[str, Any] | None = None
    ) -> None:
        """Send an event to this client alone, as `Client.send`."""
        await self.client.send(event, payload, headers)

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task that ends with the connection; what it raises is logged."""
        self.client.start_soon(function, *args)
