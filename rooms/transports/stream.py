"""The stream under trio-websocket: it owns the connection and sorts fast from slow.

trio-websocket speaks RFC 6455, but whole data frames never reach it: they are taken out of what
is read and given to the session at once.  What trio-websocket writes (pongs and Close frames,
always whole) goes through the session's outbox, so that it cannot land inside another frame.

Before the first frame of the slow lane, which few connections see before their last, there is no
trio-websocket at all: it is called when it is needed, and weighs nothing until then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import trio

from rooms.errors import Disconnect, MessageTooBig
from rooms.protocol.frames import CLOSE, FIN
from rooms.protocol.parser import FRAGMENTS, FrameParser, Lane, Message
from rooms.transports.base import FrameWriter, Link, Receiver

SLOW_BYTES = 65536
"""Reading stops while this much waits in the slow lane."""

LATE_FRAMES = 256
"""Who has sent so many after our goodbye is waited for no more; to sort a flood takes time."""

_CLOSE_FRAME = FIN | CLOSE
_END = b""


class FrameStream(trio.abc.Stream):
    """A Trio stream for `trio_websocket.wrap_server_stream`.

    What arrives is sorted from `attach` on.  Whoever is to read the slow lane is given the head of
    a request by `replay` first.

    Args:
        link: The connection, its opening handshake done; from now on nobody else may use it.
        message_bytes: A larger message is left to trio-websocket to refuse.
        fragments: A message of more ends the connection.

    Attributes:
        closed: Whether nothing more will be read.
        goodbye_sent: Whether our Close frame is out.
        when_closed: Called when trio-websocket closes the stream, or the peer has.
    """

    __slots__ = (
        "_call_speaker",
        "_ended",
        "_head",
        "_held",
        "_late_frames",
        "_parser",
        "_paused",
        "_reader",
        "_reading",
        "_receiver",
        "_waiting",
        "_watched",
        "_writer",
        "closed",
        "goodbye_sent",
        "link",
        "when_closed",
    )

    def __init__(self, link: Link, message_bytes: int, fragments: int = FRAGMENTS) -> None:
        self.link = link
        self.goodbye_sent = False
        self.when_closed: Callable[[], None] | None = None
        self._head = b""
        self._held = False  # whether the slow lane waits for the answer to a replayed head
        self._late_frames = 0
        self._parser = FrameParser(message_bytes, fragments)
        self._receiver: Receiver | None = None
        self._writer: FrameWriter | None = None
        self._call_speaker: Callable[[], None] | None = None
        self._waiting: list[Message] = []  # for a receiver that was full
        self.closed = False
        self._ended = False  # whether the peer has, with something left in the slow lane
        self._watched = False  # whether the link calls us, instead of our reading it
        self._paused = False
        self._reader: trio.lowlevel.Task | None = None
        self._reading: trio.CancelScope | None = None

    def attach(
        self, receiver: Receiver, writer: FrameWriter, call_speaker: Callable[[], None]
    ) -> None:
        """Begin to sort what arrives.

        Args:
            receiver: Gets the messages.
            writer: Gets what is to be sent, whole frames.
            call_speaker: Called once, as soon as there is a slow lane to be read.  The message
                that comes out of it is to be given to `deliver_slow`.
        """
        self._receiver, self._writer, self._call_speaker = receiver, writer, call_speaker
        self._watched = self.link.watch(self.take)
        if not self._watched:
            self._call()

    def replay(self, head: bytes) -> None:
        """Have ``head`` read first; what is sent next answers it, and goes nowhere."""
        self._head = head
        self._held = True

    # What trio-websocket calls.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        assert self._writer is not None
        if self._held:
            self._held = False
            self._wake_reader()
        elif data and data[0] == _CLOSE_FRAME:
            if self.goodbye_sent:
                self.hang_up()  # it answers the peer's Close frame, or a violation: enough was said
            self.say_goodbye(bytes(data))
        else:
            self._writer.write(bytes(data))
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what is in the slow lane, after the head; nothing at the end."""
        if self._head:
            head, self._head = self._head, b""
            await trio.lowlevel.checkpoint()
            return head
        while not self.closed:
            if self._held:
                await self._wait()
            elif slow := self._parser.take_slow(max_bytes):
                self._go_on()
                await trio.lowlevel.checkpoint()  # it may hold hundreds of tiny frames
                return slow
            elif self._ended and not self._parser.holding:
                self.hang_up()
            elif self._watched or self._blocked:
                await self._wait()
            else:
                await self._read()
        await trio.lowlevel.checkpoint()
        return _END

    async def aclose(self) -> None:
        """Called when trio-websocket is done; the connection itself is closed by its owner."""
        self.hang_up()
        await trio.lowlevel.checkpoint()

    # What the session's side calls.

    def take(self, data: bytes) -> None:
        """Sort what was read and deliver the messages in it; nothing means the end."""
        if data:
            self._deliver(self._parser.feed(data), len(data))
        elif self._parser.slow_bytes and not self.goodbye_sent:
            self._ended = True  # what came before its end is still handled: it may be a goodbye
            self._call()
            self._wake_reader()
        else:
            self.hang_up()

    def deliver_slow(self, message: Message) -> None:
        """Deliver a message that came in fragments, and what was held back behind it."""
        self._deliver([message, *self._parser.resume()])
        self._go_on()
        self._wake_reader()

    def refuse(self, reason: Disconnect) -> None:
        """Have the connection end for what the peer did; the receiver says goodbye."""
        assert self._receiver is not None
        self._receiver.end(reason)

    def resume(self) -> None:
        """Go on after the receiver was full."""
        if self._waiting:
            self._deliver([])
        if self._paused:
            self._go_on()
            self._wake_reader()

    def say_goodbye(self, close_frame: bytes) -> None:
        """Send a Close frame, the last of all (RFC 6455, section 5.5.1), once."""
        self._parser.close()
        if not self.goodbye_sent and self._writer is not None:
            self.goodbye_sent = True
            self._writer.finish(close_frame)
        if self._receiver is not None:
            self._receiver.ended(clean=True)
        self._go_on()
        self._wake_reader()

    async def shake_hands(self, close_frame: bytes) -> None:
        """Send a Close frame and wait for the peer's, or for its end (RFC 6455, section 7.1.2).

        trio-websocket is not told: it may still be about to answer a ping, which must not be sent
        any more and is dropped, and it would be an error to ask it for that after its goodbye.
        """
        self.say_goodbye(close_frame)
        if not self.closed:
            over = trio.Event()
            self.when_closed = over.set
            await over.wait()

    async def finish(self) -> None:
        """Say that nothing more will be sent and wait until the peer has closed its side.

        trio-websocket, which may be waiting for more of a message it has refused, gets nothing.
        """
        self.hang_up()
        while self._reading is not None:
            self._reading.cancel()
            await trio.lowlevel.checkpoint()
        await self.link.finish()

    def hang_up(self) -> None:
        """Have nothing more be read, and nobody be called to read it."""
        self.closed = True
        self._call_speaker = None
        if self._receiver is not None:
            self._receiver.ended(clean=False)
        if self.when_closed is not None:
            self.when_closed()
        self._wake_reader()

    @property
    def _blocked(self) -> bool:
        """Whether nothing more may be read for now."""
        assert self._receiver is not None
        return self._parser.holding or self._parser.slow_bytes > SLOW_BYTES or self._receiver.full

    def _deliver(self, messages: list[Message], size: int = 0) -> None:
        """Give messages to the receiver, which were complete when ``size`` bytes had been read."""
        receiver = self._receiver
        assert receiver is not None
        receiver.heard = True
        receiver.received_bytes += size
        if receiver.received_bytes > receiver.pace.bytes:
            receiver.overdraw()
        if self._waiting:
            messages, self._waiting = self._waiting + messages, []
        for opcode, payload in messages:
            if receiver.full:
                self._waiting.append((opcode, payload))
            else:
                receiver.receive(opcode, payload)
        if self._parser.diverted or receiver.full:
            self._look_around()

    def _look_around(self) -> None:
        """Do what is to be done when something left the fast lane."""
        parser, receiver = self._parser, self._receiver
        assert receiver is not None
        parser.diverted = False
        if parser.overrun:
            self.refuse(MessageTooBig("too many fragments"))
            self._stop_listening()
        if parser.slow_frames:
            self._note_frames()
        if (pong := parser.take_pong()) is not None:
            receiver.ponged(pong)
        if parser.slow_bytes:
            self._call()
            self._wake_reader()
        if not self._paused and self._blocked:
            self._paused = True
            self.link.pause()

    def _note_frames(self) -> None:
        """Have control frames and fragments counted; after our goodbye, bear only so many."""
        assert self._receiver is not None
        frames, self._parser.slow_frames = self._parser.slow_frames, 0
        self._receiver.overdraw(frames)
        if self._parser.lane is Lane.CLOSED:
            self._late_frames += frames
            if self._late_frames > LATE_FRAMES and self.goodbye_sent:
                self._stop_listening()

    def _stop_listening(self) -> None:
        """Have the connection end without the peer's goodbye."""
        self.link.pause()
        self.hang_up()

    def _call(self) -> None:
        if self._call_speaker is not None:
            self._call_speaker()
            self._call_speaker = None

    def _go_on(self) -> None:
        if self._paused and not self._blocked:
            self._paused = False
            self.link.resume()

    async def _read(self) -> None:
        data = _END
        lost = contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError)
        try:
            with trio.CancelScope() as self._reading, lost:
                data = await self.link.receive_some()
        finally:
            self._reading = None
        self.take(data)

    async def _wait(self) -> None:
        """Wait until there is something new for trio-websocket's reader."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake_reader(self) -> None:
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None
