"""A client's side of RFC 6455, as far as a load generator needs it."""

from __future__ import annotations

import struct

from rooms.protocol.frames import CLOSE, FIN, TEXT, unmask

Frame = tuple[int, bytes]
"""Opcode and payload."""

MASKED = 0x80
MASK = b"\x37\xfa\x21\x3d"
"""One key for all frames: it protects proxies (section 10.3), and there is none on the way."""

STAMP = b"stamp-"
_TIME_DIGITS = 16
_NUMBER_DIGITS = 8


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one masked, unfragmented frame (section 5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", FIN | opcode, MASKED | size)
    elif size < 65536:
        head = struct.pack("!BBH", FIN | opcode, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", FIN | opcode, MASKED | 127, size)
    return head + MASK + unmask(payload, MASK)


def make_stamp(time_ns: int, number: int) -> bytes:
    """Return what tells of a publication when it was due and which one it is."""
    return b"%b%016x%08x" % (STAMP, time_ns, number)


def stamp_number(stamp: str) -> int:
    """Return which publication a stamp belongs to.

    Raises:
        ValueError: It is no stamp.
    """
    return int(stamp[-_NUMBER_DIGITS:], 16)


def stamped_payload(size: int, stamp: bytes) -> bytes:
    """Return a JSON object of ``size`` bytes that carries a stamp."""
    head = b'{"stamp":"%b","pad":"' % stamp
    return head + b"x" * (size - len(head) - 2) + b'"}'


class Chunk:
    """What one read from a server held.

    Attributes:
        stamps: When each delivery was due, and its number.
        others: All frames that are not deliveries.
        rest: The beginning of a frame that is not complete.
    """

    __slots__ = ("others", "rest", "stamps")

    def __init__(self, stamps: list[tuple[int, int]], others: list[Frame], rest: bytes) -> None:
        self.stamps = stamps
        self.others = others
        self.rest = rest


def parse_chunk(data: bytes, mark: bytes = STAMP) -> Chunk:
    """Sort the frames that a server sent; one that carries a stamp is a delivery.

    Args:
        data: What was read.
        mark: What a delivery holds, up to the digits of its stamp; if empty, nothing is one.

    Raises:
        ValueError: A frame is masked (section 5.1).
    """
    stamps: list[tuple[int, int]] = []
    others: list[Frame] = []
    start, size = 0, len(data)
    while size - start >= 2:
        length, body = _extent(data, start)
        if body > size or body + length > size:
            break
        opcode, end = data[start] & 0x0F, body + length
        found = data.find(mark, body, end) if mark and opcode < CLOSE else -1
        if found < 0:
            others.append((opcode, data[body:end]))
        else:
            stamps.append(_stamp(data, found + len(mark)))
        start = end
    return Chunk(stamps, others, data[start:])


def _extent(data: bytes, start: int) -> tuple[int, int]:
    """Return how long a frame's payload is, and where it begins."""
    length = data[start + 1]
    if length < 126:
        return length, start + 2
    if length & MASKED:
        raise ValueError("a server's frame is masked")
    body = start + (4 if length == 126 else 10)
    return int.from_bytes(data[start + 2 : body], "big"), body


def _stamp(data: bytes, start: int) -> tuple[int, int]:
    middle = start + _TIME_DIGITS
    return int(data[start:middle], 16), int(data[middle : middle + _NUMBER_DIGITS], 16)
