"""One connected client, as applications see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from msgspec import UNSET, Raw

from rooms.core.grants import Action
from rooms.core.identity import Identity
from rooms.errors import Forced
from rooms.protocol.commands import Push, User
from rooms.protocol.names import check_room
from rooms.server import membership
from rooms.server.authorize import room_access
from rooms.server.presence import set_details
from rooms.transports.base import Handshake

if TYPE_CHECKING:
    from rooms.server.session import Session


class Client:
    """A connection and who is behind it.

    Attributes:
        id: Made by the server, never used again while it runs.
        user: Who signed in, or None.
        name: What the connection calls itself, in dialects where it does; nobody else does.
        handshake: Path, headers and address of the request that opened the connection.
        connected_at: Seconds since 1970.
        data: For the application's own use.
    """

    __slots__ = ("_data", "_session", "connected_at", "handshake", "id", "name", "user")

    def __init__(
        self, session: Session, client_id: str, handshake: Handshake, connected_at: float
    ) -> None:
        self._session = session
        self._data: dict[str, Any] | None = None
        self.id = client_id
        self.user: User | None = None
        self.name: str | None = None
        self.handshake = handshake
        self.connected_at = connected_at

    def __repr__(self) -> str:
        return f"<Client {self.id} from {self.remote}>"

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token said that it signed in with; empty without one."""
        identity = self._session.identity
        return {} if identity is None else identity.claims

    @property
    def data(self) -> dict[str, Any]:
        """What the application keeps for this connection."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def presence(self) -> dict[str, Any]:
        """What others are told of this connection in its rooms, beside its id.

        A copy: assign a new one to change it, ``client.presence = {"status": "away"}``; changes
        in quick succession are told once.

        Raises:
            ValueError: What is assigned is no JSON object, or takes more than 1024 bytes.
        """
        details = self._session.details
        return {} if details is None else dict(msgspec.json.decode(details))

    @presence.setter
    def presence(self, details: dict[str, Any]) -> None:
        set_details(self._session, details)

    @property
    def identity(self) -> Identity | None:
        """Who it has proved to be, with what came with the proof; None for a guest or nobody."""
        return self._session.identity

    @property
    def remote(self) -> str:
        """The peer's address."""
        return self.handshake.remote

    @property
    def path(self) -> str:
        """The path of the request that opened the connection."""
        return self.handshake.path

    @property
    def latency(self) -> float | None:
        """Seconds from the last ping that was answered to its pong; None before the first."""
        return self._session.latency

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the client to read it, beside what the system holds."""
        return self._session.outbox.waiting_bytes

    @property
    def rooms(self) -> list[str]:
        """The rooms that it is in, sorted."""
        return sorted(self._session.rooms)

    async def send(
        self, event: str, payload: Any = None, headers: dict[str, Any] | None = None
    ) -> None:
        """Send an event to this client alone; it never waits for the client to read.

        Args:
            headers: What is said beside the payload, to clients that know of such a thing.

        Raises:
            TypeError: ``payload`` or ``headers`` cannot be said in JSON.
        """
        self.push(event, payload, headers)
        await trio.lowlevel.checkpoint()

    def push(self, event: str, payload: Any, headers: dict[str, Any] | None = None) -> None:
        """As `send`, where nothing can be awaited."""
        beside = UNSET if headers is None else Raw(msgspec.json.encode(headers))
        self._session.say(Push(event, Raw(msgspec.json.encode(payload)), beside))

    async def join(self, room: str) -> None:
        """Make the client a member of ``room``; nothing is done if it is one.

        Raises:
            InvalidName, ReservedName, LimitExceeded: As for the client's own command.
        """
        if room not in self._session.rooms:
            await membership.join(self._session, room)

    async def may(self, action: Action, room: str) -> bool:
        """Whether rules and token allow the client ``action`` in ``room``.

        Raises:
            InvalidName, ReservedName: No room can have that name.
        """
        await trio.lowlevel.checkpoint()
        guard = self._session.guard
        return guard is None or await guard.may(room_access(self, action, check_room(room)))

    async def leave(self, room: str) -> None:
        """Take the client out of ``room``; nothing is done if it is not in it."""
        if room in self._session.rooms:
            membership.leave(self._session, room)
        await trio.lowlevel.checkpoint()

    def close(self, code: int = Forced.close_code, reason: str = "") -> None:
        """End the connection.

        Args:
            code: 3000-3499 and 4000-4499 invite the client to come back, 3500-3999 and 4500-4999
                forbid it.

        Raises:
            ValueError: ``code`` may not be sent (RFC 6455, section 7.4.2).
        """
        self._session.end(Forced(reason, code))

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task that ends with the connection; what it raises is logged."""
        self._session.start_soon(function, *args)
