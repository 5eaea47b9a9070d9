"""Tokens of the admin API: who holds which, without the tokens themselves."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

Role = Literal["read", "full"]
"""What a token allows: to look, or to act as well."""

PLAIN_NAME = "admin_token"
"""What the token of the setting `admin_token` is called."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORM = "write NAME:ROLE:SHA-256, as `rooms admin-token` prints it"


class AdminToken(NamedTuple):
    """One token, without itself.

    Attributes:
        name: Whoever acts with the token is called that in the log.
        digest: SHA-256 of the token.  That is enough for tokens that nobody can guess.
    """

    name: str
    role: Role
    digest: bytes

    @property
    def line(self) -> str:
        """The token as an entry of the setting `admin_tokens`."""
        return f"{self.name}:{self.role}:{self.digest.hex()}"


class AdminTokens:
    """All tokens that open the admin API.

    Raises:
        ValueError: Two have one name.
    """

    def __init__(self, tokens: Iterable[AdminToken] = ()) -> None:
        self._tokens = tuple(tokens)
        names = sorted(token.name for token in self._tokens)
        twice = [name for name, other in itertools.pairwise(names) if name == other]
        if twice:
            raise ValueError(f"two tokens are called {twice[0]!r}: the log could not tell them")

    def named(self, name: str) -> AdminToken | None:
        """Return the token of that name."""
        return next((token for token in self._tokens if token.name == name), None)

    def find(self, secret: bytes) -> AdminToken | None:
        """Return the token that ``secret`` is.

        It takes as long whichever it is, or none.
        """
        digest, found = digest_of(secret), None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def digest_of(secret: bytes) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(secret).digest()


def plain_token(secret: str) -> AdminToken:
    """Return the token of the setting `admin_token`, which allows everything."""
    return AdminToken(PLAIN_NAME, "full", digest_of(secret.encode()))


def new_token(name: str, role: str, secret: str) -> AdminToken:
    """Return the token that is to be called ``name``.

    Raises:
        ValueError: It cannot be called that, or there is no such role.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a token's name: use up to 64 letters, digits, . _ and -")
    return AdminToken(name, _role(role), digest_of(secret.encode()))


def parse_token(entry: str) -> AdminToken:
    """Return the token that an entry of the setting `admin_tokens` names.

    Raises:
        ValueError: It is none; the error says why, and nothing that could be a token.
    """
    name, _, rest = entry.strip().partition(":")
    role, colon, digest = rest.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise ValueError(f"an entry is not of the right form: {_FORM}")
    if not _DIGEST.fullmatch(digest.lower()):
        raise ValueError(f"the entry of {name!r} has no SHA-256 in hex: {_FORM}")
    return AdminToken(name, _role(role), bytes.fromhex(digest))


def _role(text: str) -> Role:
    for role in get_args(Role):
        if text == role:
            found: Role = role
            return found
    raise ValueError("a token's role is read or full")
