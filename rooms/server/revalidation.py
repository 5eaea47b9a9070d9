"""Asks an application again and again whether those who are signed in still may be."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
import trio

from rooms.errors import NotSignedIn, Refused
from rooms.server.exits import without_exit

if TYPE_CHECKING:
    from rooms.server.node import Node
    from rooms.server.raw import RawConnection
    from rooms.server.session import Session

Revalidate = Callable[[Any], Awaitable[bool | None] | bool | None]
"""Says by False, or by raising `Refused`, that the sign-in of a `Client` or a `WebSocket` holds no
more."""

AT_A_TIME = 16
"""How many connections are asked about at a time."""

ANSWER_SECONDS = 10.0
"""How long an answer may take; later than that it is none."""

log = structlog.get_logger("rooms")


class Revalidation(NamedTuple):
    """A function of the application, and how many seconds may pass between two questions."""

    function: Revalidate
    seconds: float


class Revalidator:
    """Asks about each signed-in connection once in so many seconds, and not about all at once.

    Where answers are slow it takes longer: no more than `AT_A_TIME` are asked for at a time.
    A connection whose sign-in holds no more is ended with 3500.  An answer that fails or does not
    come changes nothing: a database that is away for a minute must not send everybody off.
    """

    def __init__(self, node: Node, revalidation: Revalidation) -> None:
        self._node = node
        self._function, seconds = revalidation
        self._slices = max(1, math.ceil(seconds))
        self._step = seconds / self._slices
        self._limiter = trio.CapacityLimiter(AT_A_TIME)

    async def run(self) -> None:
        """Ask for ever."""
        turn = 0
        while True:
            await trio.sleep(self._step)
            turn = (turn + 1) % self._slices
            async with trio.open_nursery() as nursery:
                for session in self._slice(turn):
                    await self._limiter.acquire_on_behalf_of(session)
                    nursery.start_soon(self._ask, session)

    def _slice(self, turn: int) -> list[Session | RawConnection]:
        """Return those whose turn it is: always the same ones, as long as they are connected."""
        return [
            session
            for session in self._node.connections
            if session.client is not None
            and session.client.user is not None
            and _number(session.id) % self._slices == turn
        ]

    async def _ask(self, session: Session | RawConnection) -> None:
        try:
            with trio.move_on_after(ANSWER_SECONDS) as scope:
                await self._check(session)
            if scope.cancelled_caught:
                log.warning("revalidation took too long", client=session.id)
        finally:
            self._limiter.release_on_behalf_of(session)

    async def _check(self, session: Session | RawConnection) -> None:
        reason = ""
        try:
            answer = self._function(session.client)
            if isinstance(answer, Awaitable):
                with without_exit():
                    answer = await answer
        except Refused as refused:
            answer, reason = False, refused.reason
        except (Exception, SystemExit) as error:
            log.error("revalidation failed", client=session.id, exc_info=error)
            return
        if answer is False and session.goodbye is None:
            session.end(NotSignedIn(reason))


def _number(client: str) -> int:
    """Return which of its node's connections one is, by its id."""
    return int(client[1:].partition("-")[0])
