"""The envelope of a token: its header, its signature, and the claims between (RFC 7515)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jwt
import msgspec
from msgspec import Struct

from rooms.errors import InvalidToken
from rooms.server.tokens.keys import Key

TOKEN_BYTES = 8192
"""Larger tokens are refused unread."""

_NO_TOKEN = "That is no token."  # noqa: S105  # a message
_jws = jwt.PyJWS()


class Header(Struct, frozen=True):
    """What a token says of its signature; keys that it brings along or points to are not heard.

    Attributes:
        alg: Which algorithm to check it with, if the key allows that.
        kid: Names the key.
    """

    alg: str
    kid: str | None = None

    def __str__(self) -> str:
        named = "" if self.kid is None else f" with the key {self.kid[:64]!r}"
        return f"{self.alg[:16]!r}{named}"


def read_header(token: str) -> Header:
    """Return the header of a token that nothing is known of yet.

    Raises:
        InvalidToken: It is too large, or no token.
    """
    if len(token) > TOKEN_BYTES:
        raise InvalidToken("The token is too large.", detail=f"it has {len(token)} characters")
    if not token.isascii():
        raise InvalidToken(_NO_TOKEN, detail="it is not ASCII")
    try:
        return msgspec.convert(_jws.get_unverified_header(token), Header)
    except (jwt.PyJWTError, msgspec.ValidationError, RecursionError):
        raise InvalidToken(_NO_TOKEN, detail="it is no JSON Web Token") from None


def read_claims(token: str) -> dict[str, Any]:
    """Return what a token claims, true or not.

    Raises:
        InvalidToken: It is no token.
    """
    try:
        return _claims(_jws.decode(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, RecursionError):
        raise InvalidToken(_NO_TOKEN, detail="it is no JSON Web Token") from None


def signed_claims(token: str, header: Header, keys: Iterable[Key]) -> dict[str, Any]:
    """Return what a token claims if one of the keys has signed it.

    Raises:
        InvalidToken: None of them has.
    """
    known = False
    for key in keys:
        known = True
        try:
            return _claims(_jws.decode(token, key.material, algorithms=_allowed(header, key)))
        except jwt.PyJWTError:
            continue
    if known:
        raise InvalidToken("The token's signature is wrong.", detail=f"wrong signature, {header}")
    raise InvalidToken("The token's key is not known here.", detail=f"no key fits {header}")


def sign(claims: Mapping[str, Any], key: Key, algorithm: str) -> str:
    """Return a token that says ``claims``."""
    return _jws.encode(msgspec.json.encode(claims), key.material, algorithm)


def _allowed(header: Header, key: Key) -> list[str]:
    """Return the algorithm to check with, if it is one of the key's own."""
    return [header.alg] if header.alg in key.algorithms else []


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidToken(_NO_TOKEN, detail="its claims are no JSON object") from None
    return claims
