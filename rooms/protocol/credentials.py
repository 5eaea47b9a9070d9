"""Where a request carries credentials: taken out of it, and taken away from it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal
from urllib.parse import unquote_plus

from rooms.protocol.http import RequestHead

TOKEN_PROTOCOL = "rooms.token."  # noqa: S105  # a prefix
"""Begins a subprotocol that is a token and not spoken; browsers can send no header of ours."""

TICKET = "ticket"
"""The field of a query that holds a ticket."""

TokenSource = Literal["header", "subprotocol"]

_OFFERED = re.compile(rb"rooms\.token\.[^\s,]*")
_AUTHORIZATION = re.compile(rb"\r\nauthorization:[^\r\n]*", re.IGNORECASE)


def find_token(
    headers: Mapping[str, str], subprotocols: Iterable[str] = ()
) -> tuple[str, TokenSource] | None:
    """Return the token of a request and where it was, or None; the header goes first.

    Raises:
        ValueError: A subprotocol that is to hold one does not.
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":  # RFC 6750, section 2.1
        return token.strip(), "header"
    for name in subprotocols:
        if name.startswith(TOKEN_PROTOCOL):
            return _decoded(name.removeprefix(TOKEN_PROTOCOL)), "subprotocol"
    return None


def _decoded(text: str) -> str:
    """Return what base64url without padding spells (RFC 4648, section 5)."""
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return base64.b64decode(padded, b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError("what follows rooms.token. is not base64url") from None


def split_ticket(query: str) -> tuple[str | None, str]:
    """Return the ticket that a query holds, or None, and the query without it."""
    tickets: list[str] = []
    others: list[str] = []
    for field in query.split("&"):
        (tickets if _is_ticket(field) else others).append(field)
    if not tickets:
        return None, query
    return unquote_plus(tickets[0].partition("=")[2]), "&".join(others)


def _is_ticket(field: str) -> bool:
    return unquote_plus(field.partition("=")[0]) == TICKET


def parse_cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the cookies of a request (RFC 6265, section 4.2); of two of a name, the first."""
    cookies: dict[str, str] = {}
    for pair in headers.get("cookie", "").split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            cookies.setdefault(name.strip(), value.strip().strip('"'))
    return cookies


def without_secrets(head: RequestHead) -> RequestHead:
    """Return a head without tokens and tickets, to be kept as long as its connection.

    Cookies stay: they are the application's own.
    """
    query = split_ticket(head.query)[1]
    raw = head.raw.replace(f"?{head.query}".encode("latin-1"), f"?{query}".encode("latin-1"), 1)
    raw = _AUTHORIZATION.sub(b"", _OFFERED.sub(b"", raw))
    headers = {name: text for name, text in head.headers.items() if name != "authorization"}
    if "sec-websocket-protocol" in headers:
        offered = [name for name in head.subprotocols if not name.startswith(TOKEN_PROTOCOL)]
        headers["sec-websocket-protocol"] = ", ".join(offered)
    return replace(head, raw=raw, query=query, headers=headers)
