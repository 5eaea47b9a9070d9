"""The client's side of the opening handshake (RFC 6455, section 4.1)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from rooms.errors import RoomsError
from rooms.protocol.handshake import VERSION, accept_key
from rooms.protocol.http import BadHead, check_header, parse_headers
from rooms.protocol.urls import hide_secrets

PORTS = {"ws": 80, "wss": 443}


class BadAnswer(RoomsError):
    """Whoever was asked for a WebSocket did not accept; the message says what it did."""


class Address(NamedTuple):
    """Where a WebSocket is (section 3).

    Attributes:
        authority: As the header ``Host`` says it.
        target: Path and query.
        tls: Whether it is reached by TLS.
    """

    host: str
    port: int
    authority: str
    target: str
    tls: bool


def parse_address(url: str) -> Address:
    """Return where ``ws://…`` or ``wss://…`` is.

    Raises:
        ValueError: That is no such URL, or holds a name and password or a fragment.
    """
    parts, shown = urlsplit(url), hide_secrets(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"{shown!r} is no address of a WebSocket: write ws://HOST… or wss://HOST…")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{shown!r}: neither user, password nor fragment can stand in it")
    query = f"?{parts.query}" if parts.query else ""
    port = parts.port or PORTS[parts.scheme]
    return Address(
        parts.hostname, port, parts.netloc, (parts.path or "/") + query, parts.scheme == "wss"
    )


def client_request(
    address: Address,
    key: bytes,
    subprotocols: Sequence[str] = (),
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the head that asks for a WebSocket.

    Args:
        key: 16 random bytes.
        subprotocols: To offer, most wanted first.
        headers: Further ones.

    Raises:
        ValueError: A header is none, or the target holds what cannot stand in a request.
    """
    if not address.target.isascii() or not address.target.isprintable() or " " in address.target:
        raise ValueError(f"{address.target!r} must be percent-encoded")
    named = [
        ("Host", address.authority),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", VERSION),
        ("Sec-WebSocket-Key", base64.b64encode(key).decode()),
        *([("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else []),
        *headers,
    ]
    for name, value in named:
        check_header(name, value)
    lines = [f"GET {address.target} HTTP/1.1", *(f"{name}: {value}" for name, value in named)]
    return "\r\n".join([*lines, "", ""]).encode()


def check_answer(head: bytes, key: bytes, subprotocols: Sequence[str] = ()) -> str | None:
    """Return the subprotocol that was selected, if any.

    Args:
        head: The answer's, the empty line included.

    Raises:
        BadAnswer: It does not accept, or not as it must.
    """
    status_line = head.split(b"\r\n", 1)[0].decode("latin-1")
    parts = status_line.split(" ")
    if len(parts) < 2 or not parts[0].startswith("HTTP/1."):
        raise BadAnswer("it does not speak HTTP")
    if parts[1] != "101":
        raise BadAnswer(f"it answered {' '.join(parts[1:])[:100]}")
    try:
        headers = parse_headers(head)
    except BadHead:
        raise BadAnswer("its answer has a header that is none") from None
    selected = headers.get("sec-websocket-protocol")
    if (
        headers.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in headers.get("connection", "").lower()
        or headers.get("sec-websocket-accept") != accept_key(base64.b64encode(key).decode())
    ):
        raise BadAnswer("it answered 101 but not as a WebSocket server")
    if "sec-websocket-extensions" in headers or selected not in (None, *subprotocols):
        raise BadAnswer("it selected what was not offered")
    return selected
