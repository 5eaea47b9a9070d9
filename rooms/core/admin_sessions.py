"""Cookies that do instead of a token of the admin API.

All that is known of a session stands in its cookie, signed: whoever has the secret can read it.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import msgspec

from rooms.core.admin_tokens import AdminToken, AdminTokens


class AdminSession(NamedTuple):
    """A session.

    Attributes:
        id: That it can be ended by.
        token: That it was opened with: it ends with that.
        expires_at: The time, of the clock that its owner goes by.
    """

    id: str
    token: AdminToken
    expires_at: float


class _Content(msgspec.Struct, frozen=True, array_like=True):
    id: str
    token: str
    expires_at: float


_decode = msgspec.json.Decoder(_Content).decode


def seal(session: AdminSession, secret: str) -> str:
    """Return the cookie of a session."""
    content = _Content(session.id, session.token.name, session.expires_at)
    body = msgspec.json.encode(content)
    return f"{_text(body)}.{_text(_signature(body, session.token, secret))}"


def unseal(cookie: str, secret: str, tokens: AdminTokens, now: float) -> AdminSession | None:
    """Return the session of a cookie; None if it is over, or its token is none of these."""
    body, _, signature = cookie.partition(".")
    try:
        content, given = _bytes(body), _bytes(signature)
        said = _decode(content)
    except (ValueError, binascii.Error, RecursionError):
        return None
    token = tokens.named(said.token)
    if token is None or not hmac.compare_digest(_signature(content, token, secret), given):
        return None
    return AdminSession(said.id, token, said.expires_at) if said.expires_at > now else None


def _signature(body: bytes, token: AdminToken, secret: str) -> bytes:
    """Sign for one token as it is now: with another role or secret it is another one."""
    key = hmac.digest(secret.encode(), token.line.encode(), hashlib.sha256)
    return hmac.digest(key, body, hashlib.sha256)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"==")
