"""Room tokens: a right to one room, shown when joining it, for as long as the token says."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import trio

from rooms.core.grants import Action, Grants
from rooms.core.identity import Identity
from rooms.errors import Forbidden, Unauthorized
from rooms.server import signin

if TYPE_CHECKING:
    from rooms.server.session import Session


StartTask = Callable[[Callable[[], Awaitable[None]]], object]


class Pass(NamedTuple):
    """What a room token allows in its room, and until when by Trio's clock."""

    grants: Grants
    deadline: float


class Passes:
    """The room tokens of one connection, one for each of its rooms at most.

    Args:
        start: Starts a task that ends with the connection.
        notice: Called when tokens have expired.

    Attributes:
        expired: The rooms of those that have, and that were not left since.
    """

    __slots__ = ("_by_room", "_changed", "_notice", "_start", "_watching", "expired")

    def __init__(self, start: StartTask, notice: Callable[[], None]) -> None:
        self._start = start
        self._notice = notice
        self.expired: set[str] = set()
        self._by_room: dict[str, Pass] = {}
        self._changed = trio.Event()
        self._watching = False

    def __len__(self) -> int:
        return len(self._by_room)

    def allow(self, action: Action, room: str) -> bool:
        """Whether the token for ``room`` allows ``action`` there."""
        shown = self._by_room.get(room)
        if shown is None or shown.deadline <= trio.current_time():
            return False
        return shown.grants.allow(action, room)

    def add(self, room: str, shown: Pass) -> None:
        """Hold a token for ``room``, instead of the one that is there."""
        self.expired.discard(room)
        self._by_room[room] = shown
        self._changed.set()
        if not self._watching:
            self._watching = True
            self._start(self._watch)

    def drop(self, room: str) -> None:
        """Forget the token for ``room``; there need not be one."""
        self.expired.discard(room)
        if self._by_room.pop(room, None) is not None:
            self._changed.set()

    async def _watch(self) -> None:
        """Wait for the next token that expires, until there is none."""
        while self._by_room:
            self._changed = trio.Event()
            with trio.move_on_at(min(each.deadline for each in self._by_room.values())):
                await self._changed.wait()
            self._expire()
        self._watching = False

    def _expire(self) -> None:
        now = trio.current_time()
        ended = [room for room, each in self._by_room.items() if each.deadline <= now]
        for room in ended:
            del self._by_room[room]
        if ended:
            self.expired.update(ended)
            self._notice()


async def check_token(session: Session, room: str, token: str) -> Pass:
    """Return what a room token allows.

    Raises:
        Unauthorized: It is no token of this server's, or holds no more.
        Forbidden: It is not for that room, or another user's.
        Internal, Unavailable: That cannot be found out.
    """
    gate = session.node.gate
    if gate is None:
        raise Unauthorized("This server takes no tokens: join without one.")
    identity = await signin.identify(session, gate, token)
    user = session.client.user
    if user is not None and user.id != identity.user.id:
        raise Forbidden("That room token is another user's.")
    if identity.grants is None or not identity.grants.allow("join", room):
        raise Forbidden(f"That room token is not for joining {room!r}.")
    return Pass(identity.grants, _deadline(identity))


def _deadline(identity: Identity) -> float:
    if identity.expires_at is None:
        return math.inf
    return trio.current_time() + identity.expires_at - time.time()
