"""The dialects that this server speaks: chosen by path, then by subprotocol."""

from __future__ import annotations

from collections.abc import Sequence

from rooms.protocol.dialects.base import Dialect
from rooms.protocol.dialects.native import NativeJson

DIALECTS: tuple[Dialect, ...] = (NativeJson(),)


def choose(path: str, offered: Sequence[str]) -> tuple[Dialect, str | None] | None:
    """Return the dialect for a handshake and the subprotocol to select, if any.

    Args:
        path: The request's path, without its query.
        offered: The client's subprotocols, most wanted first (RFC 6455, section 4.1).
    """
    there = [dialect for dialect in DIALECTS if dialect.path == path]
    for name in offered:
        for dialect in there:
            if name in dialect.subprotocols:
                return dialect, name
    return (there[0], None) if there else None
