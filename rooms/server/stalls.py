"""An end for clients that take nothing of what waits for them: one check for all connections."""

from __future__ import annotations

from typing import Protocol

import trio

from rooms.server.timers import Timers

CHECKS = 20
"""How often is looked within the time that a client has; it may have so much more."""


class Stalling(Protocol):
    """Something that waits to be written."""

    def moved(self) -> bool:
        """Whether the client took anything since this was last asked."""
        ...

    def stall(self) -> None:
        """End the connection."""
        ...


class Stalls:
    """Watches whatever waits to be written.

    Args:
        seconds: How long nothing may move.
    """

    def __init__(self, timers: Timers, seconds: float) -> None:
        self._timers = timers
        self._seconds = seconds
        self._since: dict[Stalling, float] = {}

    def start(self) -> None:
        """Begin to look."""
        self._timers.call_every(self._seconds / CHECKS, self._check)

    def watch(self, outbox: Stalling) -> None:
        """Look at ``outbox`` from now on."""
        self._since[outbox] = trio.current_time()

    def forget(self, outbox: Stalling) -> None:
        """Look at ``outbox`` no more."""
        self._since.pop(outbox, None)

    def _check(self) -> None:
        now = trio.current_time()
        for outbox, since in tuple(self._since.items()):
            if outbox.moved():
                self._since[outbox] = now
            elif now - since >= self._seconds:
                self.forget(outbox)
                outbox.stall()
