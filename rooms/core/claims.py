"""What the claims of a token say, after its signature has been checked (RFC 7519)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from rooms.core.grants import Grants, parse_grants
from rooms.core.identity import Identity
from rooms.errors import InvalidName, InvalidToken, ReservedName
from rooms.protocol.commands import User
from rooms.protocol.names import NAME_BYTES, check_name, check_user

LEEWAY_SECONDS = 10.0
"""How far the clocks of those who make and those who check tokens may be apart."""

_LATEST = 1e12
"""Seconds since 1970 that make sense: thirty thousand years."""

_FOREIGN = "The token is not for this server."
_INCOMPLETE = "The token does not say all that it must."
_MALFORMED = "The token says something that makes no sense here."


class Rules(Struct, frozen=True, kw_only=True):
    """What a token must say to be taken.

    Attributes:
        audiences: It must be for one of these; without any it must be for nobody in particular.
        issuers: It must be from one of these; without any it may be from anybody.
        leeway: Seconds by which it may be too early or too late.
        required: Claims that must be there, beside ``sub``.
    """

    audiences: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    leeway: float = LEEWAY_SECONDS
    required: frozenset[str] = frozenset({"exp"})


def identify(claims: Mapping[str, Any], rules: Rules, now: float) -> Identity:
    """Return whom a token's claims name, for as long and with the rights that they say.

    Args:
        claims: Of a token whose signature is valid.
        now: Seconds since 1970.

    Raises:
        InvalidToken: They break a rule, or one of them makes no sense.
    """
    _check_presence(claims, rules)
    _check_parties(claims, rules)
    expires_at = _check_times(claims, rules, now)
    return Identity(
        user=_user(claims),
        expires_at=expires_at,
        token_id=_token_id(claims),
        grants=_grants(claims),
        claims=dict(claims),
    )


def _check_presence(claims: Mapping[str, Any], rules: Rules) -> None:
    missing = sorted(name for name in rules.required | {"sub"} if claims.get(name) is None)
    if missing:
        raise InvalidToken(_INCOMPLETE, detail=f"the token lacks {', '.join(missing)}")


def _check_parties(claims: Mapping[str, Any], rules: Rules) -> None:
    """Check who the token is from and for (RFC 7519, sections 4.1.1 and 4.1.3)."""
    issuer, audience = claims.get("iss"), claims.get("aud")
    if rules.issuers and not (isinstance(issuer, str) and issuer in rules.issuers):
        raise InvalidToken(_FOREIGN, detail=f"the token is from {_short(issuer)}")
    named = audience if isinstance(audience, list) else [] if audience is None else [audience]
    if not (named or rules.audiences):
        return
    if not any(isinstance(each, str) and each in rules.audiences for each in named):
        hint = "" if rules.audiences else "; name it as the audience if that is this server"
        raise InvalidToken(_FOREIGN, detail=f"the token is for {_short(audience)}{hint}")


def _check_times(claims: Mapping[str, Any], rules: Rules, now: float) -> float | None:
    """Check when the token holds, and return until when (RFC 7519, 4.1.4 to 4.1.6)."""
    for name in ("nbf", "iat"):
        begins = _time(claims, name)
        if begins is not None and now < begins - rules.leeway:
            early = f"{name} is {begins - now:.0f} s from now"
            raise InvalidToken("The token is not valid yet.", detail=early)
    ends = _time(claims, "exp")
    if ends is None:
        return None
    if now >= ends + rules.leeway:
        raise InvalidToken("The token has expired.", detail=f"exp was {now - ends:.0f} s ago")
    return ends + rules.leeway


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not (known and abs(value) <= _LATEST):  # nor NaN, which is not less than anything
        raise InvalidToken(_MALFORMED, detail=f"{name} is no number of seconds since 1970")
    return float(value)


def _user(claims: Mapping[str, Any]) -> User:
    """Return who it is; the id is the name too where a token gives none."""
    identifier = _named("sub", claims["sub"], check_user)
    name = claims.get("name")
    return User(identifier, identifier if name is None else _named("name", name, check_name))


def _named(claim: str, value: object, check: Callable[[str], str]) -> str:
    if not isinstance(value, str):
        raise InvalidToken(_MALFORMED, detail=f"{claim} is no text")
    try:
        return check(unicodedata.normalize("NFC", value) if claim == "name" else value)
    except (InvalidName, ReservedName) as error:
        raise InvalidToken(_MALFORMED, detail=_cut(f"{claim}: {error.message}")) from None


def _token_id(claims: Mapping[str, Any]) -> str:
    identifier = claims.get("jti", "")
    if isinstance(identifier, str) and len(identifier) <= NAME_BYTES and identifier.isprintable():
        return identifier
    wanted = f"jti must be printable text of {NAME_BYTES} characters at most"
    raise InvalidToken(_MALFORMED, detail=wanted)


def _grants(claims: Mapping[str, Any]) -> Grants | None:
    """Return what the claim ``rooms`` grants; None if there is none, which is not an empty one."""
    if "rooms" not in claims:
        return None
    try:
        return parse_grants(claims["rooms"])
    except ValueError as error:
        raise InvalidToken(_MALFORMED, detail=_cut(f"rooms: {error}")) from None


def _short(value: object) -> str:
    return "nobody in particular" if value is None else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
