"""Pings for all connections, and an end for those that do not answer."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import trio

from rooms.errors import Disconnect, NoPong
from rooms.protocol.frames import PING, server_frame
from rooms.server.timers import Timers


class Ping(NamedTuple):
    """A ping that many connections were sent at once.

    Attributes:
        payload: What its pong says (RFC 6455, section 5.5.3).
        at: When, by Trio's clock.
    """

    payload: bytes
    at: float


class Beating(Protocol):
    """What the heartbeat needs of a connection."""

    heard: bool
    ping: Ping | None

    @property
    def full(self) -> bool: ...

    def write(self, frames: bytes, /) -> None: ...

    def end(self, reason: Disconnect) -> None: ...

    def progress(self) -> int | None: ...


class Heartbeat:
    """A wheel whose every spoke is pinged in turn: one timer, whatever the connections' number.

    Any byte that arrives is a sign of life.  A connection that gives none for ``answer`` seconds
    after a ping ends with `NoPong`.  One that is not read because it is full lives on as long as
    its machine confirms that the ping arrived.

    Args:
        interval: Seconds between two pings of one connection.
        answer: Seconds that it has to answer; no more than until the next ping.
    """

    def __init__(self, timers: Timers, interval: float, answer: float) -> None:
        self._timers = timers
        self._answer = min(answer, interval)
        self._spokes: list[dict[Beating, None]] = [{} for _ in range(max(1, math.ceil(interval)))]
        self._hand = 0
        self._turns = 0
        self._step = interval / len(self._spokes)

    def start(self) -> None:
        """Begin to turn."""
        self._timers.call_every(self._step, self._turn)

    def add(self, connection: Beating) -> int:
        """Ping ``connection`` from now on, first after a whole interval; returns its spoke."""
        spoke = (self._hand - 1) % len(self._spokes)
        self._spokes[spoke][connection] = None
        return spoke

    def remove(self, connection: Beating, spoke: int) -> None:
        """Forget ``connection``."""
        self._spokes[spoke].pop(connection, None)

    def _turn(self) -> None:
        spoke = self._spokes[self._hand]
        self._hand = (self._hand + 1) % len(self._spokes)
        self._turns += 1
        if spoke:
            pinged = list(spoke)
            unread = _send(Ping(b"%d" % self._turns, trio.current_time()), pinged)
            self._timers.call_later(self._answer, lambda: _end_silent(pinged, unread))


def _send(ping: Ping, connections: list[Beating]) -> dict[Beating, int | None]:
    """Ping some connections; return those that are not read, with how far each has got."""
    frame = server_frame(ping.payload, PING)
    unread: dict[Beating, int | None] = {}
    for connection in connections:
        connection.heard = False
        connection.ping = ping
        if connection.full:  # before the ping: a near peer confirms it before `write` returns
            unread[connection] = connection.progress()
        connection.write(frame)
    return unread


def _end_silent(pinged: list[Beating], unread: dict[Beating, int | None]) -> None:
    for connection in pinged:
        if connection.heard:
            continue
        if connection in unread:
            silent = connection.full and _stands_still(connection, unread[connection])
        else:
            silent = not connection.full  # else it was heard when it became full
        if silent:
            connection.end(NoPong())


def _stands_still(connection: Beating, before: int | None) -> bool:
    """Whether nothing that was sent to a connection has been confirmed, as far as is known."""
    return before is not None and connection.progress() == before
