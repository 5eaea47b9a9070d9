"""One end of a WebSocket on which messages are read and written while they are under way.

trio-websocket, which sees to the slow lane of the rooms, gives and takes whole messages only and
keeps what it has not given, so an endpoint of an application's own speaks for itself: a pure
parser, `IncrementalParser`, and the writer that every connection has.  The same class is either
end: a gateway's upstream is the client's.
"""

from __future__ import annotations

import os
from collections import deque

import trio

from rooms.errors import Disconnect, HandlerFailed, Lost, MessageTooBig
from rooms.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame,
)
from rooms.protocol.incremental import (
    NO_CODE,
    Control,
    Event,
    Goodbye,
    IncrementalParser,
    Part,
    joined,
    payload_of,
)
from rooms.transports.base import DrainingWriter, Link, Owner

READ_AHEAD_BYTES = 65536
"""Nothing more is read while this much waits for the application."""

READ_AHEAD_PARTS = 64
"""Nor while so many parts of messages do."""

FRAME_BYTES = 256 * 1024
"""A larger message is sent in fragments, so that a ping need not wait for the whole of it."""

CUT = "a message was not finished"

Data = str | bytes


class Endpoint:
    """Messages and parts of messages over a connection whose opening handshake is done.

    Args:
        link: Nobody else may read from it.
        writer: Nobody else may write anything but whole control frames.
        owner: Is told what happens.
        client: Whether this is the client's end: it masks what it sends (RFC 6455, section 5.3).

    Attributes:
        reason: Why nothing more can be received, once that is so.
        closed: Whether nothing more will be read.
        ended_by_peer: Whether the reason is one that the peer gave.
        goodbye_sent: Whether our Close frame is out.
        full: Whether nothing is read because the application does not receive.
        messages: How many have come, whole ones or their ends.
        frames: How many have come in parts, pings and pongs included.
    """

    def __init__(
        self, link: Link, writer: DrainingWriter, owner: Owner, *, client: bool = False
    ) -> None:
        self._link = link
        self._writer = writer
        self._owner = owner
        self._client = client
        self._parser = IncrementalParser(masked=not client)
        self._parts: deque[Part] = deque()
        self._waiting_bytes = 0
        self._changed = trio.lowlevel.ParkingLot()  # who waits for parts, or for room for them
        self._collected: list[Part] = []  # of a message that `receive` has not got all of yet
        self._collected_bytes = 0
        self._reader: object = None
        self._inside = False  # whether the last part given was not its message's last
        self._sending = trio.Lock()
        self._held_up: trio.CancelScope | None = None  # around a sender who waits
        self._answering = False  # whether the application has received anything
        self.reason: Disconnect | None = None
        self.closed = False
        self.ended_by_peer = False
        self.goodbye_sent = False
        self.full = False
        self.messages = 0
        self.frames = 0

    # Reading.

    async def listen(self, received: bytes = b"") -> None:
        """Read until the end; all else depends on this being run.

        It may be cancelled and run again, but not while an application still receives.

        Args:
            received: What has been read already.
        """
        try:
            await self._take(received)
            while not self.closed:
                if self.reason is None:
                    await self._owner.pace()
                data = await self._link.receive_some()
                if not data:
                    break
                await self._take(data)
        except Disconnect as violation:  # what came before it is still good
            self._end(violation)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.closed = True
        self._end(Lost())

    async def _take(self, data: bytes) -> None:
        self._owner.read(len(data))
        self._parser.feed(data)
        while not self.closed and (event := self._parser.take()) is not None:
            await self._handle(event)

    async def _handle(self, event: Event) -> None:
        if isinstance(event, Part):
            await self._queue(event)
        elif isinstance(event, Goodbye):
            self._take_goodbye(event)
        else:
            self._take_control(event)

    async def _queue(self, part: Part) -> None:
        """Have a part wait for the application, as soon as there is room for it."""
        self.frames += 1
        self.messages += part.last
        while self.reason is None and self._is_full():
            self.full = True
            await self._changed.park()
        self.full = False
        if self.reason is None:
            self._parts.append(part)
            self._waiting_bytes += part.size
            self._changed.unpark_all()

    def _is_full(self) -> bool:
        return self._waiting_bytes >= READ_AHEAD_BYTES or len(self._parts) >= READ_AHEAD_PARTS

    def _take_control(self, event: Control) -> None:
        self.frames += 1
        if event.opcode == PONG:
            self._owner.ponged(event.payload)
        elif not self.goodbye_sent:
            self._writer.write(self._frame(event.payload, PONG))

    def _take_goodbye(self, goodbye: Goodbye) -> None:
        """Take note of the peer's Close frame; it is answered when the application has seen it.

        Until then what came before can be answered (RFC 6455, section 5.5.1).
        """
        self.closed = True
        self.ended_by_peer = self.reason is None
        reason = Disconnect.received(goodbye.code, goodbye.reason)
        reason.reason = goodbye.reason
        self._end(reason)

    # Receiving.

    async def receive_part(self) -> Part:
        """Return the next part of a message; cancelled, it takes none.

        Raises:
            Disconnect: There is none any more, and why.
        """
        await trio.lowlevel.checkpoint()
        while not self._parts:
            if self.reason is not None:
                self._say_goodbye()
                raise self.reason.with_traceback(None)
            await self._changed.park()
        self._answering = True
        part = self._parts.popleft()
        self._waiting_bytes -= part.size
        self._inside = not part.last
        if self.full:
            self._changed.unpark_all()
        return part

    async def receive(self, limit: int) -> Data:
        """Return the next whole message; cancelled, it loses nothing.

        Args:
            limit: The most bytes that it may have; a larger one ends the connection.

        Raises:
            Disconnect: There is none any more, and why.
        """
        if not self._collected:
            await self.skip_rest()
        while not self._collected or self._inside:
            self._collect(await self.receive_part(), limit)
        parts, self._collected, self._collected_bytes = self._collected, [], 0
        return joined(parts)

    def _collect(self, part: Part, limit: int) -> None:
        self._collected.append(part)
        self._collected_bytes += part.size
        if self._collected_bytes > limit:
            self._collected, self._collected_bytes = [], 0
            self.end(MessageTooBig())
            self.check_open()  # raises
        elif len(self._collected) > READ_AHEAD_PARTS:  # tiny fragments weigh more than they hold
            whole = Part(joined(self._collected), part.last, self._collected_bytes)
            self._collected = [whole]

    async def skip_rest(self) -> None:
        """Drop what is left of a message that somebody began to read as a stream."""
        self._reader = None
        while self._inside:
            await self.receive_part()

    async def begin(self, reader: object) -> None:
        """Have ``reader`` be the one that reads, from a message's beginning."""
        if self._collected:  # by a `receive` that was cancelled: nothing of it is lost
            self._parts.extendleft(reversed(self._collected))
            self._waiting_bytes += self._collected_bytes
            self._collected, self._collected_bytes = [], 0
            self._inside = False
        await self.skip_rest()
        self._reader = reader

    def is_read_by(self, reader: object) -> bool:
        """Whether no other message was begun after the one that ``reader`` reads."""
        return self._reader is reader

    # Sending.

    async def send(self, data: Data) -> None:
        """Send a whole message, as soon as what was sent before is written.

        It is sent as a whole or not at all, whenever it is cancelled; but for one of more than
        `FRAME_BYTES`, which ends the connection if it is cut.

        Raises:
            Disconnect: The connection has ended, and why.
            TypeError: It is neither text nor bytes.
        """
        await self.take_turn()
        try:
            await self.write(payload_of(data), TEXT if isinstance(data, str) else BINARY)
        finally:
            self._sending.release()

    async def take_turn(self) -> None:
        """Wait for the `turn`; to a task that has it already that is a `RuntimeError`."""
        try:
            await self._sending.acquire()
        except RuntimeError:
            raise RuntimeError("a message is under way: leave its block first") from None

    async def write(self, payload: bytes, opcode: int, *, fin: bool = True) -> None:
        """Send data in as many frames as it takes; only for who has the `turn`."""
        written = 0
        try:
            while written < len(payload) or not written:
                piece = payload[written : written + FRAME_BYTES]
                last = written + FRAME_BYTES >= len(payload)
                await self._write_frame(piece, CONTINUATION if written else opcode, fin and last)
                written += FRAME_BYTES
        finally:
            if 0 < written < len(payload):
                self.end(HandlerFailed(CUT))

    async def _write_frame(self, payload: bytes, opcode: int, fin: bool) -> None:
        """Wait until all is written, then send: what is cancelled has not begun."""
        if self._writer.waiting_bytes:
            with trio.CancelScope() as self._held_up:
                await self._writer.drained()
            self._held_up = None
        self.check_open()
        self._writer.write(self._frame(payload, opcode, fin=fin))

    @property
    def turn(self) -> trio.Lock:
        """Whoever holds it is the only one to send data frames."""
        return self._sending

    def check_open(self) -> None:
        """Do nothing if messages can be sent.

        Once nothing more can be received, only who has received something may still answer that.

        Raises:
            Disconnect: The connection has ended, and why.
        """
        if self._writer.broken:
            raise Lost  # what came before that can still be received
        if self.reason is None:
            return
        if not self._answering or isinstance(self.reason, Lost):
            self._say_goodbye()
        if self.goodbye_sent or isinstance(self.reason, Lost):
            raise self.reason.with_traceback(None)

    def ping(self, payload: bytes) -> None:
        """Ask the peer for a sign of life; where nothing is read, writing tells that it is gone."""
        if self._writer.broken:
            self._end(Lost())
        elif not self.goodbye_sent:
            self._writer.write(self._frame(payload, PING))

    # The end.

    def finish(self, reason: Disconnect) -> None:
        """Receive nothing that has not come yet; what has can still be answered."""
        self._end(reason)

    def end(self, reason: Disconnect) -> None:
        """Say goodbye, now: nothing is received or sent any more; the first reason counts."""
        self._end(Lost() if self._writer.broken else reason)
        self._say_goodbye()
        self._parts.clear()
        self._waiting_bytes = 0

    def _say_goodbye(self) -> None:
        """Send our Close frame, once, if there is somebody to read it."""
        if self._held_up is not None:
            self._held_up.cancel()
        if self.goodbye_sent or (reason := self.reason) is None or isinstance(reason, Lost):
            return
        self.goodbye_sent = True
        said = close_payload(reason.code, "" if self.ended_by_peer else reason.reason)
        self._writer.finish(self._frame(b"" if reason.code == NO_CODE else said, CLOSE))

    def _end(self, reason: Disconnect) -> None:
        if self.reason is None:
            self.reason = reason
            self._owner.ended(reason)
        if isinstance(self.reason, Lost) and self._held_up is not None:
            self._held_up.cancel()
        self._changed.unpark_all()

    def _frame(self, payload: bytes, opcode: int, *, fin: bool = True) -> bytes:
        key = os.urandom(4) if self._client else b""
        return frame(payload, opcode, fin=fin, key=key)
