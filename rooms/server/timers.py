"""One task that calls back later, for everything in the server that has to wait."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import trio


class Timers:
    """Calls plain functions at their time; neither a task nor a cancel scope for each."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._changed = trio.Event()

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have ``call`` called once, ``seconds`` from now."""
        heapq.heappush(self._heap, (trio.current_time() + seconds, next(self._numbers), call))
        self._changed.set()

    def call_every(self, seconds: float, call: Callable[[], None]) -> None:
        """Have ``call`` called again and again, first in ``seconds``."""

        def again() -> None:
            call()
            self.call_later(seconds, again)

        self.call_later(seconds, again)

    async def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            self._call_due()
            self._changed = trio.Event()
            until = self._heap[0][0] if self._heap else float("inf")
            with trio.move_on_at(until):
                await self._changed.wait()

    def _call_due(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
