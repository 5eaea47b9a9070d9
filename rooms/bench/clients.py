"""All connections of one worker: opening them, reading from them, counting what breaks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from rooms.bench.connection import (
    WOULD_BLOCK,
    Connection,
    State,
    open_socket,
    source_address,
    split_answer,
    tls_context,
    upgrade_request,
)
from rooms.bench.errors import Refused
from rooms.bench.frames import Chunk, Frame, client_frame, parse_chunk
from rooms.bench.load import Room
from rooms.bench.messages import Arrivals, Tally
from rooms.bench.plan import Plan
from rooms.bench.poller import READ, WRITE, Poller
from rooms.bench.target import Target
from rooms.bench.wire import Step, WireProtocol
from rooms.protocol.frames import CLOSE, PING, PONG

SAMPLE = 64
ERROR_KINDS = 20
MEMO_CHUNKS = 256

Deliver = Callable[[Connection, list[tuple[int, int]]], None]
"""Takes the stamps of the deliveries that came to a connection in one read."""


class Clients:
    """The members that one worker plays.

    Attributes:
        ready: How many are where they should be.
        dead: How many were refused or lost.
        errors: Why, and how often; at most `ERROR_KINDS` kinds.
        set_up: When they came, and how many.
        return_: The same of the time when they came back.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        protocol: WireProtocol,
        rooms: list[Room],
        worker: int,
        poller: Poller,
        deliver: Deliver,
    ) -> None:
        self._plan, self._target = plan, target
        self._poller, self._deliver = poller, deliver
        self._protocol = protocol
        self._tls = tls_context(target)
        self._connections: dict[int, Connection] = {}
        self._memo: dict[bytes, Chunk] | None = {} if plan.members > 1 else None
        self._rooms = rooms
        self._waiting = self._open_all(rooms, worker)
        self.total = sum(room.members for room in rooms)
        self._in_flight = max(plan.in_flight // plan.workers, 1)
        self._opening = 0
        self._cut: list[Room] = []
        self._missed = 0
        self.ready = self.dead = 0
        self.errors: Counter[str] = Counter()
        self._arrivals = self.set_up = Arrivals()
        self.return_ = Arrivals()

    @property
    def settled(self) -> bool:
        """Whether each connection is ready or dead."""
        return self.ready + self.dead >= self.total

    def open_more(self) -> None:
        """Begin as many connections as may be under way at once."""
        self._arrivals.begun = self._arrivals.begun or time.monotonic()
        while self._opening < self._in_flight and next(self._waiting, None) is not None:
            pass

    def handle(self, fd: int, mask: int) -> None:
        """Do what a ready socket asks for."""
        connection = self._connections.get(fd)
        if connection is None:
            return
        try:
            if connection.state is not State.READY:
                self._advance(connection)
            elif mask & WRITE:
                connection.flush()
                self._watch(connection)
            if mask & ~WRITE:
                self._receive(connection)
        except WOULD_BLOCK:
            pass
        except (OSError, Refused, ValueError) as error:
            self._fail(connection, error)

    def send(self, connection: Connection, data: bytes) -> None:
        """Send on a connection; an error ends it."""
        try:
            connection.send(data)
            if connection.backlog:
                self._watch(connection)
        except (OSError, Refused) as error:
            self._fail(connection, error)

    def cut(self) -> None:
        """Break off all connections without a goodbye, but those that publish."""
        for connection in list(self._connections.values()):
            if connection is not connection.room.publisher:
                self._drop(connection)
                self._cut.append(connection.room)
        self.ready -= len(self._cut)
        self.total -= len(self._cut)

    def come_back(self, protocol: WireProtocol) -> None:
        """Let those that were cut connect again, and count who is told all that was missed.

        Args:
            protocol: What they say now.
        """
        self._protocol, self._missed = protocol, self._plan.missed
        self.total += len(self._cut)
        self._waiting = self._open_again()
        self._arrivals = self.return_

    def tallies(self) -> list[Tally]:
        """Return for each room what was published in it, and what its members have of that."""
        counts: dict[Room, Counter[int]] = {room: Counter() for room in self._rooms}
        for connection in self._connections.values():
            counts[connection.room][connection.delivered] += 1
        return [
            Tally(room.share.room, room.published, dict(members))
            for room, members in counts.items()
        ]

    def close(self) -> None:
        """Say goodbye on all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _open_all(self, rooms: list[Room], worker: int) -> Iterator[bool]:
        """Begin one connection a step; the first of a room that this worker owns publishes."""
        count = sum(room.members for room in rooms)
        stride, turn = max(count // SAMPLE, 1), 0
        for room in rooms:
            for member in range(room.members):
                connection = self._open(room, turn, turn % stride == 0)
                if member == 0 and room.share.publisher == worker:
                    room.publisher = connection
                turn += 1
                yield True

    def _open_again(self) -> Iterator[bool]:
        for turn, room in enumerate(self._cut):
            self._open(room, turn, sampled=False)
            yield True

    def _open(self, room: Room, turn: int, sampled: bool) -> Connection | None:
        source = source_address(self._target, self._plan.sources, turn)
        self._opening += 1
        try:
            sock = open_socket(self._target, source, self._target.port_of(turn))
        except OSError as error:
            self._note(error)
            return None
        connection = Connection(sock, room, sampled)
        self._connections[connection.fileno()] = connection
        self._poller.register(connection.fileno(), READ | WRITE)
        return connection

    def _watch(self, connection: Connection) -> None:
        self._poller.modify(connection.fileno(), READ | WRITE if connection.backlog else READ)

    def _advance(self, connection: Connection) -> None:
        """Take the steps of set-up that need not wait for the server's bytes."""
        if connection.state is State.CONNECTING:
            connection.check_connected()
            connection.state = State.SECURING if self._tls else State.UPGRADING
            if self._tls is None:
                self._upgrade(connection)
            self._watch(connection)
        if connection.state is State.SECURING and self._tls is not None:
            if connection.secure(self._tls, self._target.host):
                connection.state = State.UPGRADING
                self._upgrade(connection)
            raise BlockingIOError  # nothing to read before the answer

    def _upgrade(self, connection: Connection) -> None:
        path = self._target.path
        if path in ("", "/"):
            path = self._protocol.path(connection.room.share.room)
        connection.send(upgrade_request(self._target, path, self._protocol.subprotocol))

    def _receive(self, connection: Connection) -> None:
        data = connection.receive()
        if not data:
            raise Refused("the server closed the connection")
        if connection.state is State.UPGRADING:
            rest = split_answer(data)
            connection.rest = data if rest is None else b""
            if rest is None:
                return
            connection.state = State.JOINING
            self._take(connection, self._protocol.advance(connection.room.share.room, None))
            data = rest
        in_room = connection.state is State.READY  # before, what was missed is no delivery
        chunk = self._parse(data) if in_room else parse_chunk(data, mark=b"")
        connection.rest = chunk.rest
        if chunk.stamps:
            self._deliver(connection, chunk.stamps)
        for frame in chunk.others:
            self._answer(connection, frame)

    def _parse(self, data: bytes) -> Chunk:
        """Parse what was read; members of a room read the same, so that is parsed once."""
        if self._memo is None:
            return parse_chunk(data, self._protocol.mark)
        chunk = self._memo.get(data)
        if chunk is None:
            if len(self._memo) >= MEMO_CHUNKS:
                self._memo.clear()
            chunk = self._memo[data] = parse_chunk(data, self._protocol.mark)
        return chunk

    def _answer(self, connection: Connection, frame: Frame) -> None:
        """Handle a frame that is no delivery."""
        opcode, payload = frame
        if opcode == PING:
            connection.send(client_frame(payload, PONG))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            reason = payload[2:].decode(errors="replace")
            raise Refused(f"the server closed with {code} {reason!r}")
        elif opcode == self._protocol.opcode and connection.state is State.JOINING:
            self._take(connection, self._protocol.advance(connection.room.share.room, payload))
        elif opcode == self._protocol.opcode:
            answer = self._protocol.answer(payload)
            if answer is not None:
                connection.send(self._protocol.frame(answer))

    def _take(self, connection: Connection, step: Step) -> None:
        """Carry out a step of the way into the room."""
        for text in step.send:
            connection.send(self._protocol.frame(text))
        for number in step.missed:
            if number != connection.number + 1:
                raise Refused("what was missed was told with a gap, twice or out of order")
            connection.number = number
        if step.ready:
            self._enter(connection, step)

    def _enter(self, connection: Connection, step: Step) -> None:
        if connection.number + 1 != self._missed:
            raise Refused("not just what was missed was told")
        connection.state = State.READY
        connection.room.position = step.position
        self.ready += 1
        self._arrivals.count += 1
        self._settle()

    def _fail(self, connection: Connection, error: Exception) -> None:
        if connection.state is State.READY:
            self.ready -= 1
            self._opening += 1  # what `_note` takes back
        self._drop(connection)
        self._note(error)

    def _drop(self, connection: Connection) -> None:
        fd = connection.fileno()
        self._poller.unregister(fd)
        del self._connections[fd]
        connection.cut()

    def _note(self, error: Exception) -> None:
        """Count a dead connection, and why it is dead."""
        self.dead += 1
        reason = str(error) or type(error).__name__
        if reason in self.errors or len(self.errors) < ERROR_KINDS:
            self.errors[reason] += 1
        self._settle()

    def _settle(self) -> None:
        self._opening -= 1
        if self.settled and not self._arrivals.completed:
            self._arrivals.completed = time.monotonic()
