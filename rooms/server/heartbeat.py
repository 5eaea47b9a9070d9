"""Pings for all connections, and an end for those that do not answer."""

from __future__ import annotations

import math
from typing import Protocol

from rooms.errors import Disconnect, NoPong
from rooms.protocol.frames import PING_FRAME
from rooms.server.timers import Timers


class Beating(Protocol):
    """What the heartbeat needs of a connection."""

    heard: bool
    full: bool

    def write(self, frames: bytes) -> None: ...

    def end(self, reason: Disconnect) -> None: ...


class Heartbeat:
    """A wheel whose every spoke is pinged in turn: one timer, whatever the connections' number.

    Any byte that arrives is a sign of life.  A connection that gives none for ``answer`` seconds
    after a ping ends with `NoPong`.

    Args:
        interval: Seconds between two pings of one connection.
        answer: Seconds that it has to answer; no more than until the next ping.
    """

    def __init__(self, timers: Timers, interval: float, answer: float) -> None:
        self._timers = timers
        self._answer = min(answer, interval)
        self._spokes: list[dict[Beating, None]] = [{} for _ in range(max(1, math.ceil(interval)))]
        self._hand = 0
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
        pinged = list(spoke)
        for connection in pinged:
            connection.heard = False
            connection.write(PING_FRAME)
        if pinged:
            self._timers.call_later(self._answer, lambda: _end_silent(pinged))


def _end_silent(pinged: list[Beating]) -> None:
    for connection in pinged:
        if not connection.heard and not connection.full:  # we do not read a full one
            connection.end(NoPong())
