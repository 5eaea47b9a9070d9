"""`JWT`: signs people in by JSON Web Tokens."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rooms.core.claims import LEEWAY_SECONDS, Rules, identify
from rooms.core.identity import Identity
from rooms.errors import ConfigError, InvalidToken
from rooms.server.auth import TTL_SECONDS, Credentials, TokenMaker
from rooms.server.tokens.keys import SECRET_BYTES, FixedKeys, Key
from rooms.server.tokens.signatures import (
    TOKEN_BYTES,
    read_claims,
    read_header,
    sign,
    signed_claims,
)
from rooms.server.tokens.sources import KeyPlace, open_keys

_OWN_CLAIMS = frozenset({"sub", "name", "rooms", "exp", "iat", "jti"})


class JWT(TokenMaker):
    """Takes JSON Web Tokens (RFC 7519) that the keys of one issuer have signed.

    A token's ``sub`` is the user's id, ``name`` the name, ``rooms`` what may be done where
    (``{"team/+": ["join", "publish"]}``), ``jti`` what it can be revoked by.

    The keys are in one place: a secret or its file, a file of public keys (PEM, one or several,
    or a JSON Web Key Set), or the URL of a JSON Web Key Set.  The URL is the only one that is
    ever asked, by https, or by http on this machine.

    Args:
        secret: Shared with whoever makes the tokens: 32 bytes or more.
        algorithms: Those that tokens may use; without any, all that the kind of key allows.
        audience: The token must be for one of these.
        issuer: It must be from one of these.  Tokens that say they are of somebody else are left
            to other authenticators.
        leeway: Seconds by which clocks may differ.
        required: Claims that must be there, beside ``sub``; without ``exp`` a token may hold for
            ever.
        clock: Tells the seconds since 1970.

    Raises:
        ConfigError: The keys cannot be used.
    """

    def __init__(
        self,
        secret: str = "",
        *,
        secret_file: str = "",
        key_file: str = "",
        jwks_url: str = "",
        algorithms: str | Iterable[str] = (),
        audience: str | Iterable[str] = (),
        issuer: str | Iterable[str] = (),
        leeway: float = LEEWAY_SECONDS,
        required: str | Iterable[str] = ("exp",),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._place = KeyPlace(secret, secret_file, key_file, jwks_url)
        self._pinned = frozenset(_several(algorithms))
        self._audience, self._issuer = _several(audience), _several(issuer)
        self._rules = Rules(
            audiences=frozenset(self._audience),
            issuers=frozenset(self._issuer),
            leeway=leeway,
            required=frozenset(_several(required)),
        )
        self._clock = clock
        self._keys = open_keys(self._place, self._pinned)

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return whom the token names; None if there is none, or one of another issuer.

        Raises:
            Refused: As `verify`.
        """
        token = credentials.token
        if token is None or self._is_foreign(token):
            return None
        return await self.verify(token)

    async def verify(self, token: str) -> Identity:
        """Return whom a token names.

        Raises:
            InvalidToken: It proves nothing; no message of it holds the token.
            Refused: It cannot be checked at present, with status 503.
        """
        header = read_header(token)
        if self._pinned and header.alg not in self._pinned:
            raise InvalidToken(
                "The token's algorithm is not taken here.", detail=f"not pinned: {header}"
            )
        keys = await self._keys.find(header.kid, header.alg)
        claims = signed_claims(token, header, keys)
        return identify(claims, self._rules, self._clock())

    def reload(self) -> None:
        """Read the files of keys again; keys under a URL are fetched when they are needed.

        Raises:
            ConfigError: They cannot be used; the old ones hold.
        """
        if isinstance(self._keys, FixedKeys):
            self._keys = open_keys(self._place, self._pinned)

    @property
    def can_make(self) -> bool:
        """Whether the key is a secret."""
        return bool(self._place.secret or self._place.secret_file)

    def make(
        self,
        user: str,
        *,
        ttl: float = TTL_SECONDS,
        name: str = "",
        rooms: Mapping[str, Iterable[str]] | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Return a token for ``user`` that this object takes; only where the key is a secret.

        Arguments and errors are those of `TokenMaker.make`.
        """
        key = self._signing_key()
        now = self._clock()
        says = self._claims(user, now, ttl, claims or {})
        says |= {"name": name} if name else {}
        if rooms is not None:
            says["rooms"] = {each: list(actions) for each, actions in rooms.items()}
        try:
            identify(says, self._rules, now)
        except InvalidToken as error:
            raise ValueError(f"Such a token would be refused: {error.detail}.") from None
        return _fitting(sign(says, key, self._signing_algorithm(key)))

    def _is_foreign(self, token: str) -> bool:
        """Whether a token says that it is of another issuer: that is another's to check."""
        if not self._rules.issuers or len(token) > TOKEN_BYTES or not token.isascii():
            return False
        try:
            issuer = read_claims(token).get("iss")
        except InvalidToken:
            return False
        return isinstance(issuer, str) and issuer not in self._rules.issuers

    def _signing_key(self) -> Key:
        if isinstance(self._keys, FixedKeys) and self.can_make:
            return self._keys.keys[0]
        raise ConfigError("Tokens are made with a secret only: set jwt_secret or jwt_secret_file.")

    def _signing_algorithm(self, key: Key) -> str:
        return next(name for name in SECRET_BYTES if name in (self._pinned or key.algorithms))

    def _claims(self, user: str, now: float, ttl: float, more: Mapping[str, Any]) -> dict[str, Any]:
        taken = sorted(_OWN_CLAIMS & more.keys())
        if taken:
            raise ValueError(f"The claim {taken[0]!r} is not one of your own: use the argument.")
        if not ttl > 0:
            raise ValueError("A token must hold for more than 0 seconds.")
        says: dict[str, Any] = {"iss": self._issuer[0]} if self._issuer else {}
        says |= {"aud": self._audience[0]} if self._audience else {}
        says |= {
            "sub": user,
            "iat": int(now),
            "exp": _end(now + ttl),
            "jti": secrets.token_urlsafe(12),
        }
        return says | dict(more)


def _several(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return one name or several as several; an empty one is none."""
    return tuple(filter(None, (names,) if isinstance(names, str) else names))


def _end(seconds: float) -> float:
    """Return a whole second, not before ``seconds``."""
    return math.ceil(seconds) if math.isfinite(seconds) else seconds


def _fitting(token: str) -> str:
    if len(token) > TOKEN_BYTES:
        raise ValueError(f"Such a token is too large: {TOKEN_BYTES} bytes are the most.")
    return token
