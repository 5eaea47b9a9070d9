"""How late the event loop is: the first thing that everybody feels of too much work."""

from __future__ import annotations

from collections import deque

import trio

from rooms.server.timers import Timers

BEAT_SECONDS = 0.25
"""Time between two measurements."""

MEMORY_SECONDS = 5.0
"""For how long a measurement counts: work comes in bursts, with punctual moments between."""


class Lag:
    """Measures by one timer how long what is due has to wait for its turn.

    Attributes:
        seconds: How late the second latest of the last few measurements was.  A single hiccup (an
            import, a laptop that slept) is no overload.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._due = 0.0
        self._beats: deque[tuple[float, float]] = deque()  # when, and how late
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._wait()

    def _wait(self) -> None:
        self._due = trio.current_time() + BEAT_SECONDS
        self._timers.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        now = trio.current_time()
        self._beats.append((now, max(0.0, now - self._due)))
        while self._beats[0][0] < now - MEMORY_SECONDS:
            self._beats.popleft()
        late = sorted(lateness for _, lateness in self._beats)
        self.seconds = late[-2] if len(late) > 1 else 0.0
        self._wait()
