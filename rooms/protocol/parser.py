"""Whole data frames out of what one client sends; all else is left for the full protocol.

Nearly all that clients send is whole, masked, unfragmented data frames of moderate size.  Those
are taken out here, in the *fast lane*.  Everything else (ping, close, fragments, every violation)
goes on to a complete implementation of RFC 6455, in the *slow lane*, byte by byte as it came.  Only
pongs do not: it is enough to know what the last one said.
"""

from __future__ import annotations

from enum import Enum, auto

from rooms.protocol.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, unmask

Message = tuple[int, bytes]
"""Opcode and unmasked payload."""

_WHOLE_TEXT = FIN | TEXT
_WHOLE = (FIN | TEXT, FIN | BINARY)
_SMALLEST_FRAME = 6  # a header and a masking key
_LENGTHS = {126: (8, 126), 127: (14, 65536)}
"""Of a length's marker: the bytes before the payload, the least that it may be used for."""
FRAGMENTS = 1024
"""Of one message; no client that is to be taken seriously comes near."""
PIECE = 1024
"""Bytes that are looked at together once a frame has left the fast lane."""

_MASKED = 0x80
_RESERVED = 0x70
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_CONTROL_PAYLOAD_BYTES = 125


class Lane(Enum):
    """Where the next frame goes."""

    FAST = auto()
    FRAGMENTS = auto()  # slow, until the fragmented message is complete
    HOLD = auto()  # nowhere, until that message has been delivered
    SLOW = auto()  # slow for good: a violation, or the peer's Close frame
    CLOSED = auto()  # we said goodbye: only the peer's Close frame matters (section 5.5.1)


class FrameParser:
    """Sorts the bytes of one client into messages and the slow lane.

    Args:
        message_bytes: A larger message is a violation.
        fragments: Most fragments of one message; after the first that is too many, whatever comes
            goes nowhere.

    Attributes:
        diverted: Whether anything but whole data frames has come since this was last reset.
        slow_frames: How many frames that were no whole messages have come since then.
        overrun: Whether a message came in too many fragments.
    """

    __slots__ = (
        "_buffer",
        "_dropping",
        "_fragments",
        "_fragments_left",
        "_lane",
        "_message_bytes",
        "_passing",
        "_pong",
        "_slow",
        "_wanted",
        "diverted",
        "overrun",
        "slow_frames",
    )

    def __init__(self, message_bytes: int, fragments: int = FRAGMENTS) -> None:
        self.diverted = False
        self.overrun = False
        self.slow_frames = 0
        self._message_bytes = message_bytes
        self._fragments = self._fragments_left = fragments
        self._lane = Lane.FAST
        self._buffer = b""
        self._slow = bytearray()
        self._passing = 0  # bytes of a slow frame that are still to come
        self._dropping = False  # whether those bytes go nowhere
        self._pong: bytes | None = None  # the last one's masking key and payload
        self._wanted = 0  # bytes that must be there before looking again pays

    @property
    def lane(self) -> Lane:
        """Where the next frame goes."""
        return self._lane

    @property
    def holding(self) -> bool:
        """Whether nothing is sorted until `resume`: feeding more would only fill the buffer."""
        return self._lane is Lane.HOLD and not self._passing

    @property
    def slow_bytes(self) -> int:
        """How much waits in the slow lane."""
        return len(self._slow)

    def feed(self, data: bytes) -> list[Message]:
        """Take what was read; return the messages that are complete now, in order."""
        if self._buffer:
            data = self._buffer + data
            if len(data) < self._wanted:
                self._buffer = data
                return []
        if self._lane is not Lane.FAST or self._passing:
            self._buffer = data
            return self._sort_pieces()
        messages = self._take_whole(data)
        return messages + self._sort_pieces() if self._buffer and not self._wanted else messages

    def resume(self) -> list[Message]:
        """Go on after a fragmented message has been delivered; as `feed`."""
        if self._lane is Lane.HOLD:
            self._lane = Lane.FAST
        return self._sort_pieces()

    def close(self) -> None:
        """Note that our Close frame went out: nothing but the answer to it counts any more.

        Of a fragment that is under way, the rest still goes to the slow lane.
        """
        self._wanted = 0
        if self._lane is Lane.FAST:
            self._slow = bytearray()  # pings, which must not be answered any more, and pongs
        if self._lane is not Lane.SLOW:
            self._lane = Lane.CLOSED
            self._sort_pieces()

    def take_slow(self, most: int | None = None) -> bytes:
        """Take what is in the slow lane out of it, or up to ``most`` bytes of it."""
        slow = bytes(self._slow[:most])
        del self._slow[:most]
        return slow

    def take_pong(self) -> bytes | None:
        """Return the payload of the last pong, once, or None if none has come."""
        pong, self._pong = self._pong, None
        return None if pong is None else unmask(pong[4:], pong[:4])

    def _sort_pieces(self) -> list[Message]:
        """Sort what is in the buffer, a small piece at a time.

        What lies behind a frame of the slow lane is copied for every such frame, and there may be
        ten thousand of them in one read.
        """
        messages: list[Message] = []
        rest, self._buffer = self._buffer, b""
        for start in range(0, len(rest), PIECE):
            if self.overrun:
                break
            self._buffer += rest[start : start + PIECE]
            if len(self._buffer) >= self._wanted:
                messages += self._sort()
        return messages

    def _sort(self) -> list[Message]:
        self.diverted = True
        messages: list[Message] = []
        while True:
            self._pass_rest()
            if self._lane is Lane.FAST:
                messages += self._take_whole(self._buffer)
            if not self._buffer or self._wanted or self._lane is Lane.HOLD or not self._divert():
                return messages

    def _take_whole(self, data: bytes) -> list[Message]:
        """Take whole data frames off the front of ``data``; what is left becomes the buffer.

        This is the hot path: one loop, and nothing is called but ``unmask``.
        """
        messages: list[Message] = []
        start, size, limit = 0, len(data), self._message_bytes
        while size - start >= _SMALLEST_FRAME:
            first, length, body = data[start], data[start + 1] - _MASKED, start + 6
            if length == 126:
                length, body = data[start + 2] << 8 | data[start + 3], start + 8
                if length < 126:
                    break
            elif length == 127:
                length, body = int.from_bytes(data[start + 2 : start + 10], "big"), start + 14
                if length < 65536:
                    break
            end = body + length
            if first not in _WHOLE or not 0 <= length <= limit or end > size:
                break
            payload = unmask(data[body:end], data[body - 4 : body])
            if first == _WHOLE_TEXT and not payload.isascii() and not _is_utf8(payload):
                self._lane = Lane.SLOW
                break
            messages.append((first & 0xF, payload))
            start = end
        self._buffer = data[start:] if start < size else b""
        self._wanted = self._size_wanted() if self._buffer and self._lane is Lane.FAST else 0
        return messages

    def _size_wanted(self) -> int:
        """Return the size of the whole data frame that is still coming, 0 if it will be none."""
        data = self._buffer
        if data[0] not in _WHOLE or (len(data) > 1 and data[1] < _MASKED):
            return 0
        size = _frame_size(data) if len(data) > 1 else None
        if size is None:
            return len(data) + 1  # looking again pays as soon as the header is there
        header, least = _LENGTHS.get(data[1] & 0x7F, (6, 0))
        return size if least <= size - header <= self._message_bytes else 0

    def _divert(self) -> bool:
        """Send the frame that begins the buffer where it belongs, once its header is there."""
        if self._lane is Lane.SLOW:
            self._passing, self._dropping = len(self._buffer), False
            return True
        if len(self._buffer) < 2:
            return False
        first, opcode = self._buffer[0], self._buffer[0] & 0xF
        if opcode == CLOSE or self._violates(first, self._buffer[1]):
            self._lane = Lane.SLOW
            return True
        size = _frame_size(self._buffer)
        if size is None or (opcode > CLOSE and size > len(self._buffer)):
            return False  # `close` could not take half a ping back out of the slow lane
        self.slow_frames += 1
        if opcode < CLOSE and self._lane is not Lane.CLOSED:
            self._begin_fragment(first, opcode)
        self._passing, self._dropping = size, opcode == PONG or self._lane is Lane.CLOSED
        if opcode == PONG:
            self._pong = self._buffer[2:size]
        return True

    def _begin_fragment(self, first: int, opcode: int) -> None:
        if opcode != CONTINUATION:
            self._fragments_left = self._fragments
        self._fragments_left -= 1
        self.overrun = self._fragments_left < 0
        if self.overrun:
            self._lane = Lane.CLOSED
        else:
            self._lane = Lane.HOLD if first & FIN else Lane.FRAGMENTS

    def _violates(self, first: int, second: int) -> bool:
        """Whether a header breaks RFC 6455, section 5.2, 5.4 or 5.5."""
        opcode = first & 0xF
        if first & _RESERVED or opcode not in _OPCODES or second < _MASKED:
            return True
        if opcode >= CLOSE:
            return not first & FIN or second & 0x7F > _CONTROL_PAYLOAD_BYTES
        if self._lane is Lane.CLOSED:
            return False
        return (opcode == CONTINUATION) is not (self._lane is Lane.FRAGMENTS)

    def _pass_rest(self) -> None:
        """Move what belongs to the frame under way into the slow lane."""
        if self._passing:
            part, self._buffer = self._buffer[: self._passing], self._buffer[self._passing :]
            self._passing -= len(part)
            if not self._dropping:
                self._slow += part


def _frame_size(data: bytes) -> int | None:
    """Return the size of the masked frame that begins ``data``, or None if it is not known yet."""
    length = data[1] & 0x7F
    if length < 126:
        return 6 + length
    header, _ = _LENGTHS[length]
    if len(data) < header - 4:
        return None
    return header + int.from_bytes(data[2 : header - 4], "big")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
