"""RESP3 as a subscriber needs it: commands out, pushes and simple answers in.

Nothing is queued here: what has been read is handled before more is read, so a node that is slow
is slow for the engine, which ends its connection when too much waits.
"""

from __future__ import annotations

import trio

RECEIVE_BYTES = 65536
BUFFER_BYTES = 16 * 1024 * 1024
"""The most that one answer may have."""

DEPTH = 8

Value = bytes | int | None | list["Value"]


class EngineError(Exception):
    """The engine answered with an error."""


class WireError(Exception):
    """What came is not RESP, or too much of it."""


TROUBLE = (
    EngineError,
    WireError,
    OSError,
    trio.TooSlowError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
"""What a connection may end with."""


_PLAIN = {
    "NOAUTH": "it asks for a password: give it in the URL, as in redis://user:password@host",
    "WRONGPASS": "it does not take the user and password of the URL",
    "NOPERM": "the URL's user may not do all that is needed",
    "ERR unknown command": "it is no Valkey, no Redis 7 or later, or no Sentinel, if that is meant",
}
"""What an engine's errors mean for whoever has set it up."""


def explain(error: BaseException) -> str:
    """Return what ended a connection, as it is told to an operator."""
    if isinstance(error, trio.TooSlowError):
        return "it does not answer in time"
    text = str(error) or type(error).__name__
    plain = next((plain for start, plain in _PLAIN.items() if text.startswith(start)), None)
    return text if plain is None else f"{plain} ({text.partition('. ')[0][:100]})"


class Push(list[Value]):
    """Something that the engine says without having been asked."""


class _Incomplete(Exception):
    """There is more to come."""


class Reader:
    """Makes values of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes | bytearray) -> list[Value | EngineError]:
        """Return the values that are complete now.

        Raises:
            WireError: It is not RESP, or an answer is too long.
        """
        self._buffer += data
        values: list[Value | EngineError] = []
        done = 0
        try:
            while True:
                values.append(self._value(DEPTH))
                done = self._at
        except _Incomplete:
            self._at = 0
        except ValueError:
            raise WireError("that is not RESP") from None
        del self._buffer[:done]
        if len(self._buffer) > BUFFER_BYTES:
            raise WireError(f"an answer has more than {BUFFER_BYTES} bytes")
        return values

    def _line(self) -> bytes:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            raise _Incomplete
        line = bytes(self._buffer[self._at : end])
        self._at = end + 2
        return line

    def _value(self, depth: int) -> Value | EngineError:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"$=!" and kind:
            return self._bulk(kind, int(rest))
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return EngineError(rest.decode("utf-8", "replace"))
        if kind == b"_":
            return None
        if kind in b"#,(" and kind:
            return rest
        return self._list(kind, int(rest), depth)

    def _bulk(self, kind: bytes, size: int) -> Value | EngineError:
        if size < 0:
            return None
        end = self._at + size
        if len(self._buffer) < end + 2:
            raise _Incomplete
        data = bytes(self._buffer[self._at : end])
        self._at = end + 2
        return EngineError(data.decode("utf-8", "replace")) if kind == b"!" else data

    def _list(self, kind: bytes, size: int, depth: int) -> Value:
        if depth == 0 or not kind or kind not in b"*>~%|":
            raise WireError("that is not RESP")
        values = [self._value(depth - 1) for _ in range(size * (2 if kind in b"%|" else 1))]
        plain: list[Value] = [str(v).encode() if isinstance(v, EngineError) else v for v in values]
        return Push(plain) if kind == b">" else plain


def pack(*words: str | bytes | int) -> bytes:
    """Return a command as it is sent."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(p), p) for p in parts])


class Wire:
    """A connection to one server on which it pushes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._reader = Reader()
        self._lock = trio.Lock()

    async def send(self, data: bytes) -> None:
        """Send commands, one caller at a time."""
        async with self._lock:
            await self._stream.send_all(data)

    async def receive(self) -> list[Value | EngineError]:
        """Return what has come, at least something.

        Raises:
            WireError: It is not RESP, or the engine has ended the connection.
            trio.BrokenResourceError, trio.ClosedResourceError: The connection is gone.
        """
        while True:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                raise WireError("the engine closed the connection")
            if values := self._reader.feed(data):
                return values

    async def ask(self, *words: str | bytes) -> Value:
        """Have a command done, before anything is subscribed, and return the answer.

        Raises:
            EngineError: It was refused.
        """
        await self.send(pack(*words))
        value = (await self.receive())[0]
        if isinstance(value, EngineError):
            raise value
        return value

    async def aclose(self) -> None:
        """End the connection at once."""
        await trio.aclose_forcefully(self._stream)
