"""The task that keeps the durable broker's file small, and tries a file that has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from rooms.brokers.sqlite_store import Store
from rooms.brokers.sqlite_trim import STEP_ROOMS, Care, Trimmer
from rooms.brokers.sqlite_writer import Writer
from rooms.errors import Unavailable

T = TypeVar("T")

UPKEEP_SECONDS = 5
"""How often what is not kept any more is looked for."""


class Upkeep:
    """Takes small steps in turn with the publications.

    Args:
        care: Says how a room is to be looked after.
    """

    def __init__(
        self,
        store: Store,
        trimmer: Trimmer,
        writer: Writer,
        now: Callable[[], float],
        care: Callable[[str], Care],
    ) -> None:
        self.grown: dict[str, None] = {}  # rooms that may have more than they keep
        self._store = store
        self._trimmer = trimmer
        self._writer = writer
        self._now = now
        self._care = care

    async def run(self) -> None:
        """Look after the file, for ever."""
        while True:
            await trio.sleep(UPKEEP_SECONDS)
            try:
                await self._round()
            except Unavailable:
                continue  # the writer has noted why

    async def _round(self) -> None:
        if self._writer.problem is not None:
            await self._writer.probe()
        await self._step(self._store.append, [], self._now())  # saves rooms without publications
        rooms = list(self.grown)
        self.grown.clear()
        for start in range(0, len(rooms), STEP_ROOMS):
            await self._trim(rooms[start : start + STEP_ROOMS])
        now = self._now()
        while due := await self._step(self._trimmer.due, now):
            await self._trim(due)
        while await self._step(self._trimmer.trim_keys, now):
            pass
        await self._step(self._trimmer.shrink)

    async def _trim(self, rooms: Sequence[str]) -> None:
        more = True
        while more:
            async with self._writer.turn:
                cares = [self._care(room) for room in rooms]  # as it is now that it is our turn
                more, forgotten = await self._writer.call(self._trimmer.trim, cares, self._now())
                self._store.forget(forgotten)

    async def _step(self, function: Callable[..., T], *args: object) -> T:
        async with self._writer.turn:
            return await self._writer.call(function, *args)
