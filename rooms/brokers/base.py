"""The contract of a broker, in prose; `rooms.testing.broker` has a test for each sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio
from msgspec import Raw

from rooms.brokers.notes import Notes
from rooms.brokers.peers import Peers
from rooms.core.history import NOTHING, Page, Retention
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

Deliver = Callable[[Publication], None]
"""Takes each publication of the subscribed rooms; never blocks and never raises."""

Retain = Callable[[str], Retention]
"""Says how much of a room is to be kept."""

Lost = Callable[[str, Position], None]
"""Told that a room goes on behind a position, and that what came before it may not have been
delivered; never blocks and never raises."""

KEY_SECONDS = 300
"""How long the key of a publication is remembered."""

KEYS = 100_000
"""The most keys that are remembered; then the oldest are forgotten early."""


KEYS_EACH = 10_000
"""The most keys of one publisher that are remembered; a key's first line says whose it is."""


def retain_nothing(room: str) -> Retention:
    """Keep no history."""
    return NOTHING


def ignore_lost(room: str, position: Position) -> None:
    """Tell nobody."""


class Publishing(Protocol):
    """A publication that was begun.

    Attributes:
        done: Whether it is known what came of it.
    """

    done: bool

    def position(self) -> Position:
        """Return where it was published, once that is known.

        Raises:
            Unavailable: It failed for the moment.
        """
        ...

    def give_up(self) -> None:
        """Have it not published, if it is not too late; nobody is told what comes of it."""
        ...


class Broker(ABC):
    """Carries publications between nodes, gives each its position and keeps the last of them.

    Every publication of a subscribed room, or of a room that a followed filter names, is delivered
    once, on the publisher's own node too, with its position, in the order of the positions, which
    is the same on all nodes.  Offsets count up by one; a new epoch means that the broker lost the
    count.  Rooms do not know of each other.  If something could not be delivered, ``lost`` is
    called in its place with the position behind which the room goes on, before what comes next is
    delivered; with a new epoch always.

    Of a room that is to be kept, the last publications can be had as pages: always a run without
    a gap.  What is lost changes the epoch, so nobody can take a gap for silence.

    A publication with a key that was published in the same room less than `KEY_SECONDS` ago is
    not published again: its first position is returned.

    Both halves of each call exist because a member must never wait: the ``_nowait`` half does the
    whole work at once or raises `trio.WouldBlock` without having done anything, and then the
    asynchronous half does it.

    Attributes:
        begins: Whether `begin_publish` works.
    """

    begins = False

    @property
    def counts(self) -> Counter[str]:
        """How often what went wrong, for the metrics: ``failures``, ``deaf``, ``lost``, ..."""
        return Counter()

    @property
    def problem(self) -> str | None:
        """Why publications fail for the moment and what to do, or None while they do not.

        Shown by the admin API's readiness: nothing in it is secret.
        """
        return None

    @property
    def peers(self) -> Peers | None:
        """What the nodes share beside publications; None where there is one node only.

        It can be opened while the broker is.
        """
        return None

    @property
    def notes(self) -> Notes | None:
        """What outlasts the nodes beside publications; None where nothing does.

        It can be used while the broker is open.
        """
        return None

    @abstractmethod
    def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AbstractAsyncContextManager[None]:
        """Be connected while the block runs; the callbacks are called from inside it only.

        Raises:
            ConfigError: It cannot be connected; the message says why and what to do.
        """

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
    def follow_nowait(self, rooms: Filter) -> None:
        """Have what is published in any of these rooms delivered from now on.

        Raises:
            trio.WouldBlock: It cannot be done at once; await `follow`.
        """

    @abstractmethod
    def unfollow(self, rooms: Filter) -> None:
        """Undo `follow`; the filter need not be followed."""

    @abstractmethod
    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        """Publish and return the position, after the broker holds the publication.

        It may be delivered before this returns.

        Args:
            key: Names the publication, in this room, for whoever publishes it again.

        Raises:
            trio.WouldBlock: It cannot be done at once; await `publish`.
            Unavailable: It cannot be done for the moment; nothing was published.
        """

    def begin_publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None,
        key: str | None,
        landed: Callable[[], object],
    ) -> Publishing:
        """As `publish`, without a task that waits: many can be under way at a time.

        What is begun in one room is published in the order in which it was begun, as far as it is.

        Args:
            landed: Called when it is done, not before this returns; neither blocks nor raises.

        Raises:
            trio.WouldBlock: It does not do that, or not for the moment; await `publish`.
            Unavailable: It cannot be done for the moment; nothing was published.
        """
        raise trio.WouldBlock

    @abstractmethod
    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return a page of what was published in ``room``, as `Stream.page` does.

        Raises:
            trio.WouldBlock: It cannot be done at once; await `history`.
            Unrecoverable: Something after ``since`` is not kept, or a position is of another
                epoch.
            Unavailable: It cannot be done for the moment.
        """

    async def subscribe(self, room: str) -> Position:
        """As `subscribe_nowait`, waiting where that would block."""
        await trio.lowlevel.checkpoint()
        return self.subscribe_nowait(room)

    async def follow(self, rooms: Filter) -> None:
        """As `follow_nowait`, waiting where that would block."""
        await trio.lowlevel.checkpoint()
        self.follow_nowait(rooms)

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        """As `publish_nowait`, waiting where that would block.

        Raises:
            Unavailable: It cannot be done for the moment, and nothing was published; or the way to
                the engine was cut while it was under way, and nobody knows whether it was: then
                the message says so.  What has a key can be published again in both cases.
        """
        await trio.lowlevel.checkpoint()
        return self.publish_nowait(room, event, payload, sender, key)

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        """As `history_nowait`, waiting where that would block."""
        await trio.lowlevel.checkpoint()
        return self.history_nowait(room, limit, since, before, newest_first)
