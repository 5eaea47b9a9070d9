"""What every `Endpoint` of a node is wired to: an outbox, the heartbeat, the write deadline."""

from __future__ import annotations

import math

import trio

from rooms.core.slow import Portion, SlowRule
from rooms.errors import Disconnect, Lost, SlowConsumer
from rooms.protocol.dialects.base import Dialect
from rooms.server.heartbeat import Ping
from rooms.server.node import Node
from rooms.server.outbox import Outbox
from rooms.server.pace import Throttle
from rooms.transports.base import Link
from rooms.transports.endpoint import FRAME_BYTES, Endpoint


class Wire:
    """One end of a WebSocket, kept alive and bounded as all connections of a node are.

    Args:
        nursery: Of the connection; what has to be written later is written in it.
        scope: Around whatever uses the connection: cancelled a moment after the connection ends.
        client: Whether this is the client's end.
        throttle: How fast the peer may send; None lets it.

    Attributes:
        heard: Set whenever anything arrives.
        ping: The last one, until it is answered.
        latency: Seconds from the last ping that was answered to its pong.
        received_bytes: How much has been read.
        patience: The most seconds that whoever uses the connection has when it ends, and then the
            goodbye, whatever the settings say.
    """

    def __init__(
        self,
        node: Node,
        link: Link,
        nursery: trio.Nursery,
        scope: trio.CancelScope,
        *,
        client: bool = False,
        throttle: Throttle | None = None,
    ) -> None:
        settings = node.settings
        self._node = node
        self._link = link
        self._nursery = nursery
        self._scope = scope
        self._throttle = throttle
        self._pacing = False
        self._listening = trio.CancelScope()
        self._stopped = trio.Event()
        self.heard = True
        self.ping: Ping | None = None
        self.latency: float | None = None
        self.received_bytes = 0
        self.patience = math.inf
        self.outbox = Outbox(
            link,
            limit_bytes=settings.outbox_bytes + FRAME_BYTES,
            limit_writes=settings.outbox_writes,
            start=nursery.start_soon,
            slow=self,
            stalls=node.stalls,
        )
        self.endpoint = Endpoint(link, self.outbox, self, client=client)
        self._spoke = node.heartbeat.add(self)

    def start(self, received: bytes = b"") -> None:
        """Begin to listen.

        Args:
            received: What has been read already.
        """
        self._nursery.start_soon(self._listen, received)

    async def _listen(self, received: bytes) -> None:
        try:
            with self._listening:
                await self.endpoint.listen(received)
        finally:
            self._stopped.set()

    # What the endpoint calls.

    def read(self, size: int) -> None:
        """Take note of bytes that were read: a sign of life."""
        self.heard = True
        self.received_bytes += size

    async def pace(self) -> None:
        """Return when the peer may send more."""
        if self._throttle is None:
            return
        delay = self._throttle.delay(self.endpoint.frames, self.received_bytes)
        if delay:
            self._pacing = True
            await trio.sleep(delay)
            self._pacing = False

    def ponged(self, payload: bytes) -> None:
        """Measure how long the answer to our last ping took, if this is that."""
        if self.ping is not None and self.ping.payload == payload:
            self.latency = trio.current_time() - self.ping.at
            self.ping = None

    def ended(self, reason: Disconnect) -> None:
        """Give whoever uses the connection a moment to see that it has ended."""
        seconds = min(self._node.settings.disconnected_seconds, self.patience)
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + seconds)

    # What the heartbeat, the outbox and its deadline call.

    @property
    def full(self) -> bool:
        """Whether nothing is read for now, so that no sign of life can be heard."""
        return self._pacing or self.endpoint.full

    def write(self, frames: bytes) -> None:
        """Send a ping of the heartbeat, in this side's own frame."""
        self.endpoint.ping(frames[2:])  # behind the two bytes of its header

    def end(self, reason: Disconnect) -> None:
        """End the connection, now."""
        self.endpoint.end(reason)

    def progress(self) -> int | None:
        """Return what changes when the peer's machine confirms what it was sent, where known."""
        return self.outbox.progress()

    def cut(self, rule: SlowRule) -> None:
        """End the connection: the peer takes nothing of what waits for it."""
        if self.endpoint.reason is None:
            self._node.counters.add("slow_consumers", *rule)
        self.endpoint.end(SlowConsumer())

    def lost(self, portion: Portion, first: bool) -> None:
        """Never called: nothing that an endpoint sends may be dropped."""

    @property
    def dialect(self) -> Dialect:
        """Never asked for: it says what was dropped."""
        raise NotImplementedError

    # The end.

    async def farewell(self, reason: Disconnect) -> None:
        """Say goodbye, if that has not been said, as far as the peer takes part.

        Whatever happens, the connection is told of nothing any more.

        Args:
            reason: Why it ends, if nobody has ended it yet.
        """
        self._node.heartbeat.remove(self, self._spoke)
        self._listening.cancel()
        await self._stopped.wait()
        with trio.move_on_after(min(self._node.settings.close_seconds, self.patience)):
            async with trio.open_nursery() as nursery:
                self.outbox.start = nursery.start_soon  # the connection's may be cancelled
                try:
                    self.endpoint.end(reason)
                    if not self.endpoint.closed:
                        await self.endpoint.listen()
                    await self.outbox.drained()
                    if not self.outbox.broken and not isinstance(self.endpoint.reason, Lost):
                        await self._link.finish()
                finally:
                    self.outbox.close()
                nursery.cancel_scope.cancel()
