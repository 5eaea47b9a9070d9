"""The end of sign-ins that last only for a time, all with one timer."""

from __future__ import annotations

import math
from typing import Protocol

import trio

from rooms.errors import Disconnect, TokenExpired
from rooms.server.timers import Timers

STEP_SECONDS = 1.0
"""How late a connection may be ended."""

FOREVER = 10 * 365 * 24 * 60 * 60.0
"""Seconds after which nobody looks any more: as good as no end."""


class Expiring(Protocol):
    """What ends when its time is over."""

    def end(self, reason: Disconnect) -> None: ...


class Expiries:
    """Ends each connection with `TokenExpired` when its time is over.

    Connections stand in the second in which they end; one that has ended is not kept.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._seconds: dict[int, dict[Expiring, None]] = {}
        self._places: dict[Expiring, int] = {}
        self._running = False

    def __len__(self) -> int:
        return len(self._places)

    def set(self, connection: Expiring, seconds: float | None) -> None:
        """End ``connection`` in so many seconds and not when it was told before; None for never."""
        self.remove(connection)
        if seconds is None or not seconds < FOREVER:
            return
        second = math.ceil(trio.current_time() + seconds)
        self._seconds.setdefault(second, {})[connection] = None
        self._places[connection] = second
        if not self._running:
            self._running = True
            self._timers.call_later(STEP_SECONDS, self._turn)

    def remove(self, connection: Expiring) -> None:
        """Forget ``connection``; it need not be known."""
        second = self._places.pop(connection, None)
        if second is not None:
            del self._seconds[second][connection]
            if not self._seconds[second]:
                del self._seconds[second]

    def _turn(self) -> None:
        now = trio.current_time()
        for second in [second for second in self._seconds if second <= now]:
            for connection in list(self._seconds[second]):
                self.remove(connection)
                connection.end(TokenExpired())
        self._running = bool(self._places)
        if self._running:
            self._timers.call_later(STEP_SECONDS, self._turn)
