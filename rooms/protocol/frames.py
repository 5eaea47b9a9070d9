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


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a Close frame; the reason is cut to what fits (RFC 6455, sections 5.5 and 5.5.1)."""
    return server_frame(struct.pack("!H", code) + shorten(reason).encode(), CLOSE)


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


def fastest_unmask() -> Callable[[bytes, bytes], bytes]:
    """Return the same written in C where the extra ``speed`` is installed, else `plain_unmask`."""
    try:
        masked: Callable[[bytes, bytes], bytes] = import_module("websockets.speedups").apply_mask
    except ImportError:
        return plain_unmask
    return masked


unmask = fastest_unmask()
