"""Has every node deliver what it missed, or say that it is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
import trio

from rooms.brokers.base import Lost, ignore_lost
from rooms.brokers.redis_calls import Call
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_messages import Arrived, BadMessage, decode_body
from rooms.brokers.redis_pages import Entry, Found, Pages, new_epoch
from rooms.brokers.redis_rooms import Heard
from rooms.brokers.redis_scripts import RENEW
from rooms.errors import Unavailable
from rooms.protocol.commands import Position

log = structlog.get_logger("rooms")

PAGE = 100
"""The most publications that are read at once."""

AT_ONCE = 64
"""The most rooms that are caught up at a time."""

AGAIN_SECONDS = 0.5


class CatchUp:
    """Reads what rooms have missed from their streams.

    Attributes:
        lost: Told where a room goes on when what came before cannot be had.
    """

    def __init__(self, engine: Engine, pages: Pages, is_heard: Callable[[Heard], bool]) -> None:
        self.lost: Lost = ignore_lost
        self._engine = engine
        self._pages = pages
        self._is_heard = is_heard
        self._waiting: dict[Heard, None] = {}
        self._followed: set[Heard] = set()
        self._news = trio.Event()

    def wake(self, heard: Heard) -> None:
        """Have a room caught up."""
        self._waiting[heard] = None
        self._news.set()

    async def run(self) -> None:
        """Catch up with whatever is woken, for ever."""
        slots = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            while True:
                await self._news.wait()
                self._news = trio.Event()
                waiting, self._waiting = self._waiting, {}
                for heard in waiting:
                    if heard not in self._followed:  # who is followed is until nothing is missing
                        await slots.acquire_on_behalf_of(heard)
                        self._followed.add(heard)
                        nursery.start_soon(self._follow, heard, slots)

    async def run_touching(self, rooms: Mapping[str, Heard]) -> None:
        """Have the counts of rooms with members live on, for ever, and look for what was missed."""
        while True:
            await trio.sleep(self._engine.url.options.ttl / 3)
            for heard in list(rooms.values()):
                heard.confirmed()
                await trio.lowlevel.checkpoint()

    async def _follow(self, heard: Heard, slots: trio.CapacityLimiter) -> None:
        try:
            while self._is_heard(heard) and not await self._step(heard):
                pass
        except Unavailable:
            await trio.sleep(AGAIN_SECONDS)
            self.wake(heard)
        finally:
            self._followed.discard(heard)
            slots.release_on_behalf_of(heard)

    async def _step(self, heard: Heard) -> bool:
        """Read one page and deliver it; says whether nothing more is missing."""
        since, held = heard.position, heard.held
        found = await self._pages.find(heard.room, PAGE, None if since is None else since.offset)
        if not self._is_heard(heard):
            return True
        last = heard.position
        if last is None:
            heard.move(found.last, b"")
        elif last.epoch != found.last.epoch:
            self._begin_anew(heard, found)
            return False
        elif since != last:
            return False  # it was delivered meanwhile; look again
        elif _has_gone_back(heard, found):
            await self._renew(heard, last.epoch)
            return False
        else:
            self._deliver(heard, found)
            if found.entries and found.entries[-1].offset < found.last.offset:
                return False
        heard.forget_foreign(held, found.last)
        done = heard.release()
        heard.settled.set()
        return done

    def _begin_anew(self, heard: Heard, found: Found) -> None:
        """Go over to a new epoch: whoever is in the room has to load it anew."""
        start = Position(found.last.epoch, 0)
        heard.move(start, b"")
        self._engine.counts["epochs"] += 1
        log.warning("room begins a new epoch", room=heard.room, epoch=start.epoch)
        self.lost(heard.room, start)

    async def _renew(self, heard: Heard, epoch: str) -> None:
        """End an epoch whose count went back: its positions name other publications now."""
        names, sharded = self._engine.names, self._engine.sharded
        args = [epoch, new_epoch(), "SPUBLISH" if sharded else "PUBLISH"]
        args.append(names.room("c", heard.room))
        await self._engine.call(Call(RENEW, [names.room("n", heard.room)], args))

    def _deliver(self, heard: Heard, found: Found) -> None:
        last = found.last
        for entry in found.entries:
            self._skip_to(heard, Position(last.epoch, entry.offset - 1))
            self._deliver_entry(heard, Position(last.epoch, entry.offset), entry)
        if not found.entries:
            held = heard.first_held(last.epoch)
            offset = last.offset if held is None else min(last.offset, held - 1)
            self._skip_to(heard, Position(last.epoch, offset))

    def _deliver_entry(self, heard: Heard, position: Position, entry: Entry) -> None:
        try:
            publication = decode_body(entry.body, position)
        except BadMessage:
            self._skip_to(heard, position)
        else:
            heard.accept(Arrived(position, entry.stamp, publication))

    def _skip_to(self, heard: Heard, position: Position) -> None:
        """Go on behind ``position`` if that has not been delivered."""
        last = heard.position
        assert last is not None
        if last.offset < position.offset:
            self._engine.counts["lost"] += position.offset - last.offset
            log.warning("publications lost", room=heard.room, count=position.offset - last.offset)
            heard.move(position, b"")
            self.lost(heard.room, position)


def _has_gone_back(heard: Heard, found: Found) -> bool:
    """Whether the engine knows less than was delivered, or something else."""
    assert heard.position is not None
    other = bool(found.stamp and heard.stamp and found.stamp != heard.stamp)
    return found.last.offset < heard.position.offset or other
