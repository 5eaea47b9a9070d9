"""The contract of what nodes share beside publications, in prose.

`rooms.testing.brokers.peers` has a test for each sentence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

LEASE_SECONDS = 10
"""How long a node counts as alive after it was last heard of."""

RENEW_SECONDS = 3
"""How often a node renews its lease."""

HOLD_SECONDS = 60
"""How long what a node holds stays where it is, if the node does not keep it."""

KEEP_SECONDS = 20
"""How often a node keeps what it holds."""

Hear = Callable[[bytes], None]
"""Takes each message that is told to this node; never blocks and never raises."""

Missed = Callable[[], None]
"""Called when messages may have been lost; never blocks and never raises."""


class Lease(NamedTuple):
    """Of one node: what it told of itself, and how many seconds ago."""

    info: bytes
    age: float


class Change(NamedTuple):
    """How what a node holds of a room changes.

    Attributes:
        entries: By client; None for one that is gone.
        whole: Whether there are no others.
    """

    room: str
    entries: dict[str, bytes | None]
    whole: bool = False


class Held(NamedTuple):
    """What a node holds of a room.

    Attributes:
        number: Of the change that was held last; 0 if nothing is held.
        entries: By client.
    """

    number: int
    entries: dict[str, bytes]


class Peers(ABC):
    """A board where nodes write what they hold, under a lease, and a wire between them.

    A node is listed from `join` until `leave`, or until it has not renewed its lease for
    `LEASE_SECONDS`; then it has to join again.  What it holds can be read by all; it is gone
    `HOLD_SECONDS` after the node last wrote or kept it, whether the node is listed or not.  So
    nothing stays when all nodes are gone.

    Messages reach every node that is open, the sender too, each sender's in their order; they may
    be lost, and where that can be noticed it is told.

    Every asynchronous method may raise `Unavailable`; then what it should do may have been done
    or not, and all of it can be done again.
    """

    @abstractmethod
    def open(self, node: str, hear: Hear, missed: Missed) -> AbstractAsyncContextManager[None]:
        """Be connected as ``node`` while the block runs; all else is possible only inside it.

        The callbacks are called from inside the block only.
        """

    @abstractmethod
    async def join(self, info: bytes) -> dict[str, Lease]:
        """List this node and return all that are listed."""

    @abstractmethod
    async def renew(self, info: bytes) -> dict[str, Lease] | None:
        """Renew the lease and return all that are listed, or None if this node is not."""

    @abstractmethod
    async def leave(self) -> None:
        """List this node no longer."""

    @abstractmethod
    async def tell(self, message: bytes, node: str | None = None) -> None:
        """Have one node hear a message, or all of them."""

    @abstractmethod
    async def hold(self, number: int, changes: Sequence[Change]) -> None:
        """Write how what this node holds changes; of one room, all or nothing is written."""

    @abstractmethod
    async def held(self, places: Sequence[tuple[str, str]]) -> list[Held]:
        """Return what is held at each place: a room and a node."""

    @abstractmethod
    async def keep(self, rooms: Sequence[str]) -> list[str]:
        """Keep what this node holds of these rooms; returns those of which nothing is held."""

    @abstractmethod
    async def claim(self, name: str, secret: str, value: str, nodes: Sequence[str]) -> str | None:
        """Have this node hold a name, together with those that came with the same secret.

        A claim lasts for `HOLD_SECONDS` unless it is made again.

        Args:
            value: What goes with the name.
            nodes: Those that are alive: what others claim does not count.

        Returns:
            The value of who claimed it first; None if it is claimed with another secret.
        """

    @abstractmethod
    async def release(self, name: str) -> None:
        """Undo this node's claim; there need not be one."""
