"""Messages of any size out of what a peer sends, piece by piece while they arrive (RFC 6455).

The parser of the rooms, `FrameParser`, gives whole messages and nothing else, so that the server
can handle a thousand of them in one read.  Here a frame need never be whole: what has arrived of
its payload is given on, and no more is kept than what was fed last.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

from rooms.errors import InvalidText, ProtocolViolation, check_close_code
from rooms.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    TEXT,
    rotate_key,
    unmask,
)

NO_CODE = 1005
"""What a Close frame without a code means; it is never sent (section 7.4.1)."""

_MASKED = 0x80
_RESERVED = 0x70
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_CONTROL_BYTES = 125
_LEAST_LENGTH = {126: 126, 127: 65536}
"""Of a length's marker: the least that it may be used for."""
_MOST_LENGTH = 2**63 - 1


class Part(NamedTuple):
    """What has arrived of a message.

    Attributes:
        data: Text in whole characters, or bytes; may be empty.
        last: Whether the message ends with it.
        size: How many bytes it took on the wire.
    """

    data: str | bytes
    last: bool
    size: int


def joined(parts: Sequence[Part]) -> str | bytes:
    """Return what parts of one message, or all of it, are together."""
    if len(parts) == 1:
        return parts[0].data
    if isinstance(parts[0].data, str):
        return "".join(str(part.data) for part in parts)
    return b"".join(part.data for part in parts if isinstance(part.data, bytes))


def payload_of(data: str | bytes) -> bytes:
    """Return what is sent of a message, or of a part of one.

    Raises:
        TypeError: It is neither text nor bytes.
    """
    if isinstance(data, str):
        return data.encode()
    return bytes(memoryview(data))  # `bytes` takes numbers, too


class Control(NamedTuple):
    """A ping or a pong."""

    opcode: int
    payload: bytes


class Goodbye(NamedTuple):
    """A Close frame; without a code it is `NO_CODE`."""

    code: int
    reason: str


Event = Part | Control | Goodbye


class IncrementalParser:
    """Takes bytes and gives events.

    Args:
        masked: Whether the peer is a client: its frames are masked, a server's never are
            (section 5.1).
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_decoder",
        "_fin",
        "_key",
        "_mask_bit",
        "_opcode",
        "_over",
        "_remaining",
    )

    def __init__(self, *, masked: bool) -> None:
        self._mask_bit = _MASKED if masked else 0
        self._buffer = b""
        self._at = 0  # where the buffer has not been looked at yet
        self._opcode = 0  # of the message under way, 0 between two
        self._fin = False  # whether the data frame under way is the message's last
        self._remaining: int | None = None  # of its payload; None between two frames
        self._key = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._over = False

    def feed(self, data: bytes) -> None:
        """Add what was read; best when `take` has returned None, so that nothing piles up."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def take(self) -> Event | None:
        """Return what came next, or None if more must be fed first.

        Behind a Close frame nothing comes any more (section 5.5.1).

        Raises:
            ProtocolViolation: A frame breaks RFC 6455.
            InvalidText: Text, or the reason of a Close frame, is not UTF-8 (section 8.1).
        """
        if self._over:
            return None
        if self._remaining is None:
            event = self._begin_frame()
            if event is not None or self._remaining is None:
                return event
        return self._take_payload()

    def _begin_frame(self) -> Event | None:
        """Read a header; a control frame is taken whole."""
        available = len(self._buffer) - self._at
        if available < 2:
            return None
        first, second = self._buffer[self._at], self._buffer[self._at + 1]
        self._check_header(first, second)
        marker = second & 0x7F
        extended = {126: 2, 127: 8}.get(marker, 0)
        header = 2 + extended + (4 if self._mask_bit else 0)
        size = self._length(marker, extended) if available >= 2 + extended else 0
        control = first & 0xF >= CLOSE
        if available < header + (size if control else 0):
            return None
        self._at += header
        self._key = self._buffer[self._at - 4 : self._at] if self._mask_bit else b""
        if control:
            return self._control(first & 0xF, self._read(size))
        self._opcode = self._opcode or first & 0xF
        self._fin, self._remaining = bool(first & FIN), size
        return None

    def _check_header(self, first: int, second: int) -> None:
        opcode = first & 0xF
        if first & _RESERVED:
            raise ProtocolViolation("reserved bit set without an extension")
        if opcode not in _OPCODES:
            raise ProtocolViolation(f"unknown opcode {opcode}")
        if second & _MASKED != self._mask_bit:
            raise ProtocolViolation("frame not masked" if self._mask_bit else "frame masked")
        if opcode >= CLOSE:
            if not first & FIN or second & 0x7F > _CONTROL_BYTES:
                raise ProtocolViolation("control frame too long or in fragments")
        elif (opcode == CONTINUATION) is not bool(self._opcode):
            raise ProtocolViolation("fragment of another message, or of none")

    def _length(self, marker: int, extended: int) -> int:
        """Return the length of a payload (section 5.2: in the shortest form)."""
        if not extended:
            return marker
        start = self._at + 2
        length = int.from_bytes(self._buffer[start : start + extended], "big")
        if not _LEAST_LENGTH[marker] <= length <= _MOST_LENGTH:
            raise ProtocolViolation("length not in its shortest form, or too large")
        return length

    def _read(self, size: int) -> bytes:
        """Take bytes of a payload that are there, and unmask them."""
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        if not self._key:
            return data
        key, self._key = self._key, rotate_key(self._key, len(data))
        return unmask(data, key)

    def _take_payload(self) -> Part | None:
        assert self._remaining is not None
        data = self._read(self._remaining)
        if not data and self._remaining:
            return None
        self._remaining -= len(data)
        ended = not self._remaining
        last = ended and self._fin
        given = self._decode(data, last) if self._opcode == TEXT else data
        if ended:
            self._remaining = None
        if last:
            self._opcode = 0
        return Part(given, last, len(data))

    def _decode(self, data: bytes, last: bool) -> str:
        try:
            return self._decoder.decode(data, last)
        except UnicodeDecodeError:
            raise InvalidText from None

    def _control(self, opcode: int, payload: bytes) -> Event:
        if opcode != CLOSE:
            return Control(opcode, payload)
        self._over = True
        return _goodbye(payload)


def _goodbye(payload: bytes) -> Goodbye:
    """Return what a Close frame says (section 5.5.1)."""
    if not payload:
        return Goodbye(NO_CODE, "")
    if len(payload) == 1:
        raise ProtocolViolation("half a close code")
    code = int.from_bytes(payload[:2], "big")
    try:
        return Goodbye(check_close_code(code), payload[2:].decode())
    except UnicodeDecodeError:
        raise InvalidText from None
    except ValueError:
        raise ProtocolViolation(f"close code {code} must not be sent") from None
