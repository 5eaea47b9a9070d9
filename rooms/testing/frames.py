"""A client's frames, byte by byte as a test wants them (RFC 6455, section 5.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rooms.protocol.frames import CLOSE, FIN, TEXT, unmask

KEY = b"\x37\xfa\x21\x3d"


def client_frame(
    payload: bytes | str,
    opcode: int = TEXT,
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
) -> bytes:
    """Return a frame as a client sends it, or as a broken client would."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = (FIN if fin else 0) | reserved | opcode
    mask_bit = 0x80 if masked else 0
    if len(data) < 126:
        head = struct.pack("!BB", first, mask_bit | len(data))
    elif len(data) < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, len(data))
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, len(data))
    return head + (KEY + unmask(data, KEY) if masked else data)


def client_close(code: int | None = 1000, reason: str = "") -> bytes:
    """Return a client's Close frame, with any code or none."""
    body = b"" if code is None else struct.pack("!H", code) + reason.encode()
    return client_frame(body, CLOSE)


@dataclass(frozen=True)
class Frame:
    """One frame from the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a Close frame."""
        return int.from_bytes(self.payload[:2], "big")


def take_frame(data: bytearray) -> Frame | None:
    """Take the server's first whole frame off ``data``, or return None if there is none yet."""
    if len(data) < 2:
        return None
    size, body = data[1], 2
    if size >= 126:
        body = 4 if size == 126 else 10
        size = int.from_bytes(data[2:body], "big")
    if len(data) < body + size or len(data) < body:
        return None
    frame = Frame(data[0] & 0xF, bytes(data[body : body + size]))
    del data[: body + size]
    return frame
