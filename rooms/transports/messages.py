"""One message at a time, read or sent part by part, of any size."""

from __future__ import annotations

import trio

from rooms.errors import HandlerFailed
from rooms.protocol.frames import BINARY, CONTINUATION, TEXT
from rooms.protocol.incremental import payload_of
from rooms.transports.endpoint import CUT, Data, Endpoint


class IncomingMessage:
    """One message, read part by part while it arrives: ``async for part in message``.

    Text comes in whole characters.  An empty message is one empty part.  If reading a part is
    cancelled, nothing is lost.

    Attributes:
        complete: Whether the last part has been given.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._begun = False
        self._given = False  # whether any part has been
        self.complete = False

    def __aiter__(self) -> IncomingMessage:
        return self

    async def __anext__(self) -> Data:
        if self.complete:
            raise StopAsyncIteration
        if not self._begun:
            await self._endpoint.begin(self)
            self._begun = True
        elif not self._endpoint.is_read_by(self):
            raise RuntimeError("the next message has been received: this one's rest is gone")
        part = await self._endpoint.receive_part()
        while not part.data and not part.last:  # half a character, or an empty fragment
            part = await self._endpoint.receive_part()
        self.complete = part.last
        if self._given and not part.data:
            raise StopAsyncIteration
        self._given = True
        return part.data


class OutgoingMessage:
    """One message, sent part by part: ``async with … as message: await message.send(part)``.

    Nothing comes between its fragments but control frames.  Left by an exception, or cut, it ends
    the connection: half a message must never look like a whole one.

    Args:
        text: Whether the parts are text; else they are bytes.
    """

    def __init__(self, endpoint: Endpoint, *, text: bool) -> None:
        self._endpoint = endpoint
        self._text = text
        self._opcode = TEXT if text else BINARY
        self._finished = False

    async def __aenter__(self) -> OutgoingMessage:
        await self._endpoint.take_turn()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._finished:
                await self._write(b"", last=True)
        finally:
            if not self._finished:
                self._endpoint.end(HandlerFailed(CUT))
            self._endpoint.turn.release()

    async def send(self, part: Data, *, last: bool = False) -> None:
        """Send a part, as soon as what was sent before is written.

        Args:
            last: Whether no other will come; without it an empty fragment ends the message.

        Raises:
            Disconnect: The connection has ended, and why.
            TypeError: The message is text and the part is not, or the other way round.
            ValueError: The last part has been sent.
        """
        if isinstance(part, str) is not self._text:
            raise TypeError(f"a message of {'text' if self._text else 'bytes'} has no {part!r:.40}")
        await trio.lowlevel.checkpoint()
        await self._write(payload_of(part), last=last)

    async def _write(self, payload: bytes, *, last: bool) -> None:
        if self._finished:
            raise ValueError("the message's last part has been sent")
        await self._endpoint.write(payload, self._opcode, fin=last)
        self._opcode, self._finished = CONTINUATION, last


async def relay(incoming: IncomingMessage, outgoing: Endpoint) -> None:
    """Send one message on while it arrives; no more of it is kept than its last part.

    Raises:
        Disconnect: Either connection has ended.
    """
    first = await anext(incoming)
    if incoming.complete:
        await outgoing.send(first)
        return
    async with OutgoingMessage(outgoing, text=isinstance(first, str)) as message:
        await message.send(first)
        async for part in incoming:
            await message.send(part, last=incoming.complete)
