"""What one client has published and the broker has not confirmed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from rooms.brokers.base import Publishing
from rooms.errors import RequestError
from rooms.protocol.commands import Reply, SendEvent
from rooms.protocol.dialects.base import Decoded
from rooms.server import commands, dispatch

if TYPE_CHECKING:
    from rooms.server.session import Session


class UnderWay:
    """Publications that were begun: answered in the order in which they came.

    None of them has a task of its own, so those that come together travel together.

    Args:
        limit: The most at a time; what comes then waits in the inbox.
    """

    __slots__ = ("_begun", "_landed", "_limit", "_session")

    def __init__(self, session: Session, limit: int) -> None:
        self._session = session
        self._limit = limit
        self._begun: list[tuple[SendEvent, Publishing]] = []
        self._landed: trio.Event | None = None

    def __len__(self) -> int:
        return len(self._begun)

    def now(self, command: Decoded) -> bool:
        """Do what can be done at once; behind what is under way, only begin to publish.

        Raises:
            RequestError: It may not be done.
        """
        if self._begun:
            return self.begin(command)
        return commands.NOW[type(command)](self._session, command)

    def begin(self, command: Decoded) -> bool:
        """Begin to publish an event; if it returns False, wait until nothing is under way.

        What may not be done is found anew, and told, when that is so.
        """
        session = self._session
        if not isinstance(command, SendEvent) or session.signing_in:
            return False
        try:
            return dispatch.begin(session, command)
        except RequestError:
            return False

    def add(self, command: SendEvent, room: str, key: str | None) -> bool:
        """Have the broker begin, or return False if that takes waiting."""
        session = self._session
        if len(self._begun) >= self._limit:
            return False
        try:
            publishing = session.node.broker.begin_publish(
                room, command.event, command.payload, session.origin, key, self._land
            )
        except trio.WouldBlock:
            return False
        self._begun.append((command, publishing))
        return True

    async def landed(self) -> None:
        """Wait until nothing is under way."""
        if self._begun:
            self._landed = trio.Event()
            await self._landed.wait()

    def give_up(self) -> None:
        """Answer nothing any more."""
        for _, publishing in self._begun:
            publishing.give_up()
        self._begun.clear()

    def _land(self) -> None:
        """Answer all that is done, up to the first that is not."""
        begun = self._begun
        while begun and begun[0][1].done:
            self._answer(*begun.pop(0))
        if not begun and self._landed is not None:
            self._landed.set()
            self._landed = None

    def _answer(self, command: SendEvent, publishing: Publishing) -> None:
        try:
            position = publishing.position()
        except RequestError as error:
            self._session.fail(command, error)
        else:
            if command.id is not None:
                self._session.say(Reply(id=command.id, position=position))
