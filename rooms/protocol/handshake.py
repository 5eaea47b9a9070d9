"""The server's answer to a request for a WebSocket (RFC 6455, section 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from http import HTTPStatus

from rooms.protocol.http import BadHead, RequestHead

VERSION = "13"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_KEY_BYTES = 16


def check_request(head: RequestHead) -> str:
    """Return the key of a request that can be accepted.

    Raises:
        BadHead: The request is not a complete one (section 4.2.1).
    """
    headers = head.headers
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    if head.method != "GET" or "upgrade" not in options or "sec-websocket-version" not in headers:
        raise BadHead(HTTPStatus.BAD_REQUEST)
    if "," in headers.get("host", ","):  # none, or two of them (RFC 9112, section 3.2)
        raise BadHead(HTTPStatus.BAD_REQUEST)
    if headers["sec-websocket-version"] != VERSION:
        raise BadHead(HTTPStatus.UPGRADE_REQUIRED)
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        raise BadHead(HTTPStatus.BAD_REQUEST)
    return key


def accept_answer(
    head: RequestHead, subprotocol: str | None, headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return the head that accepts ``head``.

    Args:
        subprotocol: To select; one that the client offered.
        headers: Further ones of the answer.

    Raises:
        BadHead: The request is not a complete one (section 4.2.1).
    """
    key = check_request(head)
    further = "".join(f"{name}: {value}\r\n" for name, value in headers)
    selected = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n"
        f"{selected}{further}\r\n"
    ).encode()


def accept_key(key: str) -> str:
    """Return what proves that the server has read the client's ``key`` (section 4.2.2)."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):  # the latter if it is not ASCII
        return False
