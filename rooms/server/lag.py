"""How late the event loop is: the first thing that everybody feels of too much work."""

from __future__ import annotations

import trio

from rooms.server.timers import Timers

BEAT_SECONDS = 0.25
"""Time between two measurements."""


class Lag:
    """Measures by one timer how long what is due has to wait for its turn."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._due = 0.0
        self._latest = self._before = 0.0

    @property
    def seconds(self) -> float:
        """How late both of the last two measurements were, at least.

        A hiccup between two quiet moments (an import, a laptop that slept) is no overload.
        """
        return min(self._latest, self._before)

    def start(self) -> None:
        """Begin to measure."""
        self._wait()

    def _wait(self) -> None:
        self._due = trio.current_time() + BEAT_SECONDS
        self._timers.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._before = self._latest
        self._latest = max(0.0, trio.current_time() - self._due)
        self._wait()
