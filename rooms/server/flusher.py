"""Writes what a tick collected when the tick is over."""

from __future__ import annotations

import trio

from rooms.core.tick import Tick


class Flusher:
    """Flushes a tick; at most one flush is under way, so every client's order holds.

    Attributes:
        tick: What is flushed.
        batching: Set while a batch of input is handled whose end flushes anyway.
    """

    def __init__(self, tick: Tick) -> None:
        self.batching = False
        self.tick = tick
        self._flushing = False
        self._lot = trio.lowlevel.ParkingLot()
        tick.wake = self._wake

    async def run(self) -> None:
        """Flush whenever something waits, one scheduler round after it began to wait."""
        while True:
            if self._flushing or not self.tick.waiting:
                await self._lot.park()  # a flush under way goes on until nothing waits
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits, giving way to other tasks between chunks."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while self.tick.waiting:
                for _ in self.tick.flush():
                    await trio.lowlevel.checkpoint()
        finally:
            self._flushing = False

    def _wake(self) -> None:
        if not self.batching:
            self._lot.unpark()
