"""The contract of a broker, in prose; `rooms.testing.broker` has a test for each sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import Raw

from rooms.protocol.commands import Origin, Position, Publication

Deliver = Callable[[Publication], None]
"""Takes each publication of the subscribed rooms; never blocks and never raises."""


class Broker(ABC):
    """Carries publications between nodes and gives each its position.

    Every publication of a subscribed room is delivered, the publisher's own node included, with
    its position, in the order of the positions, which is the same on all nodes.  Offsets count
    up by one; a new epoch means that the broker lost the count.  Rooms do not know of each other.

    Both halves of each call exist because a member must never wait: the ``_nowait`` half does the
    whole work at once or raises `trio.WouldBlock` without having done anything, and then the
    asynchronous half does it.
    """

    @abstractmethod
    def open(self, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """Be connected while the block runs; ``deliver`` is called from inside it only."""

    @abstractmethod
    def subscribe_nowait(self, room: str) -> Position:
        """Have what is published in ``room`` delivered from now on, and return where it stands.

        Raises:
            trio.WouldBlock: It cannot be done at once; await `subscribe`.
        """

    @abstractmethod
    def unsubscribe(self, room: str) -> None:
        """Have nothing more of ``room`` delivered; it need not be subscribed."""

    @abstractmethod
    def publish_nowait(
        self, room: str, event: str, payload: Raw, sender: Origin | None = None
    ) -> Position:
        """Publish and return the position, after the broker holds the publication.

        It may be delivered before this returns.

        Raises:
            trio.WouldBlock: It cannot be done at once; await `publish`.
        """

    async def subscribe(self, room: str) -> Position:
        """As `subscribe_nowait`, waiting where that would block."""
        await trio.lowlevel.checkpoint()
        return self.subscribe_nowait(room)

    async def publish(
        self, room: str, event: str, payload: Raw, sender: Origin | None = None
    ) -> Position:
        """As `publish_nowait`, waiting where that would block."""
        await trio.lowlevel.checkpoint()
        return self.publish_nowait(room, event, payload, sender)
