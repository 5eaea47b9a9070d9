"""The end of a server: nobody new gets in, and everybody is told when to come back."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator

import structlog
import trio

from rooms.errors import ShuttingDown
from rooms.server.listen import Listener
from rooms.server.node import Node

BATCH_SECONDS = 0.1
"""Clients are sent away in batches, one in so many seconds."""

CLIENTS_A_SECOND = 100
"""So few can come back at once: fewer clients need less time than the setting allows."""

RESTART_SECONDS = 1.0
"""How long a server takes to be started again, if none has taken over."""

ARRIVAL_SECONDS = 1.0
"""How long those who were accepted last have to say what they want, each time one of them has."""

LAST_SECONDS = 0.25
"""What is left for goodbyes when the time is over."""

StopHttp = Callable[[float], Awaitable[None]]
"""Lets requests under way finish within so many seconds, and returns when none is left."""

log = structlog.get_logger("rooms")


def departures(count: int, window: float, restart: float) -> Iterator[tuple[float, float]]:
    """Yield for each client when it is sent away and for how long, in seconds from now.

    All stay away for as long as the window is: nobody comes back while others still leave, and
    they come back as evenly as they left.

    Args:
        count: The number of clients.
        window: Seconds over which they leave.
        restart: Seconds in which nobody is there to come back to.
    """
    batches = max(1, round(window / BATCH_SECONDS))
    for number in range(count):
        batch = number * batches // count * (window / batches)
        yield batch, window * number / count - batch + window + restart


class Drain:
    """Ends everything that a server has under way: in time, quickly, or at once.

    Args:
        stop_http: Ends HTTP connections, if the server speaks HTTP.
        replaced: Whether another server takes new connections on the same address already.
    """

    def __init__(
        self, node: Node, listener: Listener, stop_http: StopHttp | None, *, replaced: bool
    ) -> None:
        self._node = node
        self._listener = listener
        self._stop_http = stop_http
        self._restart = 0.0 if replaced else RESTART_SECONDS
        self._hurried = False
        self._waiting = trio.CancelScope()

    async def run(self) -> None:
        """Send all clients away over ``drain_seconds``, and wait for what is under way.

        What clients have asked for by then is still done.  It returns when nobody is left, or
        ``grace_seconds`` after the last was sent away, or after `abandon`; `end` does the rest.
        """
        self._close_door()
        settings = self._node.settings
        clients = len(self._node.connections)
        window = min(settings.drain_seconds, clients / CLIENTS_A_SECOND)
        log.info("draining", clients=clients, seconds=round(window, 1))
        with self._limit(window + settings.grace_seconds) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_http, settings.grace_seconds)
                await self._send_away(window)
                await self._node.idle()
        if scope.cancelled_caught:
            self._hurried = True

    async def end(self) -> None:
        """Say goodbye to all who are left, and wait for them but never longer than the grace.

        Handlers under way are cancelled.  Nothing can interrupt this but `abandon`.
        """
        self._close_door()
        for session in self._node.connections:
            session.end(ShuttingDown())
        grace = LAST_SECONDS if self._hurried else self._node.settings.grace_seconds
        with self._limit(grace, shield=True):
            if self._stop_http is not None:
                await self._stop_http(grace)
            await self._node.idle()
        for session in self._node.connections:
            if session.goodbye is not None:
                session.goodbye.cancel()

    def abandon(self) -> None:
        """Wait for nobody any more."""
        self._hurried = True
        self._waiting.cancel()

    def _close_door(self) -> None:
        self._node.draining = True
        self._listener.stop()

    def _limit(self, seconds: float, *, shield: bool = False) -> trio.CancelScope:
        """Return the scope that `abandon` cancels."""
        seconds = 0 if self._hurried and not shield else seconds
        self._waiting = trio.CancelScope(deadline=trio.current_time() + seconds, shield=shield)
        return self._waiting

    async def _send_away(self, window: float) -> None:
        """Have each connection end when what it has asked for so far is done."""
        start = trio.current_time()
        sessions = self._node.connections
        plan = departures(len(sessions), window, self._restart)
        for session, (at, away) in zip(sessions, plan, strict=True):
            if start + at > trio.current_time():
                await trio.sleep_until(start + at)
            session.finish(ShuttingDown(f"server restarts, retry after {away:.2f} s"))

    async def _end_http(self, grace: float) -> None:
        """End HTTP once those who were accepted last have had their first request answered."""
        with trio.move_on_after(ARRIVAL_SECONDS):
            await self._listener.closed.wait()
        await self._wait_for_arrivals()
        if self._stop_http is not None:
            await self._stop_http(grace)

    async def _wait_for_arrivals(self) -> None:
        """Wait for those who were accepted last, as long as there are fewer and fewer of them."""
        admission, before = self._node.admission, math.inf
        while 0 < admission.pending < before:
            before = admission.pending
            with trio.move_on_after(ARRIVAL_SECONDS):
                await admission.settled()
