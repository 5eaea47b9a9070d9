"""One running application: its rooms, its connections and what keeps them going."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import trio

from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.config import Settings
from rooms.core.history import Retention
from rooms.core.hub import Hub
from rooms.core.room import NOWHERE, Room
from rooms.core.tick import Tick
from rooms.protocol.bus import NodeInfo
from rooms.server.admission import Admission
from rooms.server.client import Client
from rooms.server.cluster import Cluster
from rooms.server.counters import Counters
from rooms.server.expiries import Expiries
from rooms.server.flusher import Flusher
from rooms.server.gate import Gate
from rooms.server.guests import Guests
from rooms.server.heartbeat import Heartbeat
from rooms.server.lag import Lag
from rooms.server.names import Names
from rooms.server.refusals import Refusals
from rooms.server.revalidation import Revalidator
from rooms.server.revocations import Revocations
from rooms.server.shared_revocations import SharedRevocations
from rooms.server.shared_tickets import share_tickets
from rooms.server.stalls import Stalls
from rooms.server.timers import Timers
from rooms.server.tokens.configured import auth_for
from rooms.server.users import Users
from rooms.server.version import rooms_version
from rooms.transports.poller import Poller

if TYPE_CHECKING:
    from rooms.server.app import App
    from rooms.server.raw import RawConnection
    from rooms.server.session import Session
    from rooms.server.websocket import WebSocket


class Node:
    """The live state of one `App`.

    Attributes:
        sessions: Of all open connections, by the client's id.
        life: A new one at each start, for names that must not mean anything after a restart; the
            node's id among others.
        cluster: The other nodes, if the broker connects several.
        endpoints: The connections to endpoints of the application's own, by theirs.
        received: Messages that came from connections that have ended.
        received_bytes: Bytes that came from them.
        secret: That all nodes know, and nobody else; it ends with the last of them.
        revocations: Which sign-ins hold no more.
        shared_revocations: Keeps them where they outlast this node, if the broker has such a place.
        gate: Says who clients are, by the application or the settings; None if everybody gets in.
        takes_guests: Whether one may sign in under any name that is free.
    """

    def __init__(self, app: App, settings: Settings, broker: Broker | None = None) -> None:
        self.app = app
        self.settings = settings
        self.broker = broker or MemoryBroker()
        self.tick = Tick()
        self.hub = Hub(self.tick, app.options.presence, app.options.slow)
        self.flusher = Flusher(self.tick)
        self.poller = Poller() if Poller.available() else None
        self.timers = Timers()
        self.heartbeat = Heartbeat(self.timers, settings.ping_seconds, settings.pong_seconds)
        self.stalls = Stalls(self.timers, settings.write_seconds)
        self.guests = Guests()
        self.users = Users()
        self.expiries = Expiries(self.timers)
        auth = auth_for(app.auth, settings)
        self.revocations = Revocations()
        self.gate = Gate(auth, self.revocations) if auth else None
        self.takes_guests = app.guests and self.gate is None
        self.counters = Counters()
        self.refusals = Refusals(self.counters)
        self.admission = Admission(settings, self.refusals)
        self.lag = Lag(self.timers)
        self.sessions: dict[str, Session] = {}
        self.names = Names()
        self.dialects = app.dialects_for(settings)
        self.endpoints: dict[str, RawConnection] = {}
        self.received = 0
        self.received_bytes = 0
        self.draining = False
        self.life = secrets.token_hex(4)
        self.secret = secrets.token_hex()
        self.started_at = time.time()
        self._numbers = count(1)
        self._opening: dict[str, trio.Event] = {}  # rooms that the broker is being told of
        self._idle = trio.lowlevel.ParkingLot()
        peers = self.broker.peers
        self.cluster = None if peers is None else Cluster(self, peers)
        if self.gate is not None and self.cluster is not None:
            share_tickets(self.gate, self.cluster)
        notes = self.broker.notes
        self.shared_revocations = None if notes is None else SharedRevocations(self, notes)

    @property
    def clients(self) -> dict[str, Client]:
        """All connected clients of this node, by id, but for those who have yet to sign in."""
        every = self.sessions.items()
        return {key: session.client for key, session in every if not session.signing_in}

    @property
    def websockets(self) -> dict[str, WebSocket]:
        """All that are connected to endpoints of the application's own, by id."""
        every = self.endpoints.items()
        return {key: each.client for key, each in every if each.client is not None}

    @property
    def connections(self) -> list[Session | RawConnection]:
        """Everybody who is connected by a WebSocket."""
        return [*self.sessions.values(), *self.endpoints.values()]

    @property
    def overloaded(self) -> bool:
        """Whether new clients had better go elsewhere: those who are here have to wait already."""
        return self.lag.seconds > self.settings.lag_seconds

    @property
    def info(self) -> NodeInfo:
        """What this node tells of itself."""
        return NodeInfo(
            id=self.life,
            version=rooms_version(),
            started_at=self.started_at,
            host=platform.node(),
            pid=os.getpid(),
            clients=len(self.connections),
            lag=round(self.lag.seconds, 4),
            told=0 if self.cluster is None else self.cluster.told,
        )

    def retention(self, room: str) -> Retention:
        """Return how much of ``room`` is to be kept."""
        return self.app.options.retention(room, self.settings)

    def next_client_id(self) -> str:
        """Return an id that no client has had: of this node or, with others, of any."""
        number = f"c{next(self._numbers)}"
        return number if self.cluster is None else f"{number}-{self.life}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be ready for connections while the block runs."""
        async with self._connected(), trio.open_nursery() as nursery:
            working = trio.CancelScope(shield=True)
            nursery.start_soon(self._work, working)
            self.heartbeat.start()
            self.stalls.start()
            self.lag.start()
            self.timers.call_every(self.settings.presence_seconds, self.hub.tell_presence)
            try:
                yield
            finally:
                working.cancel()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opening = self.broker.open(self.hub.deliver, self.retention, self.hub.skip)
            await stack.enter_async_context(opening)
            for each in (self.cluster, self.shared_revocations):
                if each is not None:
                    await stack.enter_async_context(each.running())
            yield

    async def _work(self, working: trio.CancelScope) -> None:
        """Do what all connections need; a cancelled block still needs it for its goodbyes."""
        with working:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.flusher.run)
                nursery.start_soon(self.timers.run)
                if self.app.revalidation is not None:
                    nursery.start_soon(Revalidator(self, self.app.revalidation).run)
                if self.poller is not None:
                    nursery.start_soon(self.poller.run, self.flusher)

    def forget(self, session: Session) -> None:
        """Note that a connection is gone."""
        del self.sessions[session.id]
        self._count(session)

    def forget_endpoint(self, connection: RawConnection) -> None:
        """Note that a connection to an endpoint of the application's own is gone."""
        del self.endpoints[connection.id]
        self._count(connection)

    def _count(self, gone: Session | RawConnection) -> None:
        self.received += gone.received
        self.received_bytes += gone.received_bytes
        if not self.sessions and not self.endpoints:
            self._idle.unpark_all()

    async def idle(self) -> None:
        """Wait until no connection is left."""
        while self.sessions or self.endpoints:
            await self._idle.park()

    def open_room_nowait(self, name: str) -> Room:
        """Return the room, known to the broker.

        Raises:
            trio.WouldBlock: The broker must be waited for; await `open_room`.
        """
        if name in self._opening:
            raise trio.WouldBlock
        room = self.hub.rooms.get(name)
        if room is None:
            if self.cluster is not None:
                raise trio.WouldBlock
            room = self.hub.open_room(name, self.broker.subscribe_nowait(name))
        return room

    async def open_room(self, name: str) -> Room:
        """As `open_room_nowait`, waiting where that would block.

        What is published meanwhile is not lost: the room is there before the broker knows of it.
        """
        await trio.lowlevel.checkpoint()
        while name in self._opening:
            await self._opening[name].wait()
        room = self.hub.rooms.get(name)
        if room is None:
            room = await self._open_new_room(name)
        return room

    async def _open_new_room(self, name: str) -> Room:
        opened = self._opening[name] = trio.Event()
        room = self.hub.open_room(name, NOWHERE)
        known = False
        try:
            room.settle(await self.broker.subscribe(name))
            if self.cluster is not None:
                await self.cluster.neighbours.open_room(name)
            known = True
        finally:
            del self._opening[name]
            opened.set()
            if not known:  # whatever was delivered meanwhile
                self.release_room(room)
        return room

    def release_room(self, room: Room) -> None:
        """Forget ``room``, and have the broker forget it, if nobody is in it."""
        if self.hub.release(room):
            self.broker.unsubscribe(room.name)
            if self.cluster is not None:
                self.cluster.neighbours.close_room(room.name)
