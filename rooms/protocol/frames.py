"""WebSocket frames as bytes (RFC 6455, section 5)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA
FIN = 0x80

CLOSE_REASON_BYTES = 123

_pack_16_bits = struct.Struct("!BBH").pack
_pack_64_bits = struct.Struct("!BBQ").pack


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one unmasked, unfragmented frame (RFC 6455, section 5.2).

    What a server sends is not masked, so the frame is the same for every receiver.
    """
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, size)) + payload
    if size < 65536:
        return _pack_16_bits(FIN | opcode, 126, size) + payload
    return _pack_64_bits(FIN | opcode, 127, size) + payload


def frame(payload: bytes, opcode: int, *, fin: bool = True, key: bytes = b"") -> bytes:
    """Return one frame as either side sends it, whole message or fragment.

    Args:
        fin: Whether the message ends with it.
        key: Four random bytes that mask a client's frame (section 5.3); a server has none.
    """
    size, first, mask_bit = len(payload), (FIN if fin else 0) | opcode, 0x80 if key else 0
    if size < 126:
        header = bytes((first, mask_bit | size))
    elif size < 65536:
        header = _pack_16_bits(first, mask_bit | 126, size)
    else:
        header = _pack_64_bits(first, mask_bit | 127, size)
    return b"".join((header, key, unmask(payload, key) if key else payload))


def close_payload(code: int, reason: str = "") -> bytes:
    """Return what a Close frame holds; the reason is cut to what fits (section 5.5.1)."""
    return struct.pack("!H", code) + shorten(reason).encode()


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a Close frame; the reason is cut to what fits (RFC 6455, sections 5.5 and 5.5.1)."""
    return server_frame(close_payload(code, reason), CLOSE)


def shorten(reason: str) -> str:
    """Return as much of ``reason`` as a Close frame holds, in whole characters."""
    return reason.encode("utf-8", "replace")[:CLOSE_REASON_BYTES].decode("utf-8", "ignore")


def plain_unmask(payload: bytes, key: bytes, /) -> bytes:
    """Return ``payload`` XORed with the 4-byte masking ``key`` (RFC 6455, section 5.3).

    One XOR of two big integers is the fastest way in plain Python from a few bytes to some KiB.
    """
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(
        size, "little"
    )


def rotate_key(key: bytes, size: int) -> bytes:
    """Return the masking key for what follows ``size`` bytes in the same frame."""
    shift = size % 4
    return key[shift:] + key[:shift]


def fastest_unmask() -> Callable[[bytes, bytes], bytes]:
    """Return the same written in C where the extra ``speed`` is installed, else `plain_unmask`."""
    try:
        masked: Callable[[bytes, bytes], bytes] = import_module("websockets.speedups").apply_mask
    except ImportError:
        return plain_unmask
    return masked


unmask = fastest_unmask()
