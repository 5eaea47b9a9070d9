"""Keys that tokens are checked with, each with the algorithms that it may be used for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from rooms.errors import ConfigError

SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""How long a secret must at least be for each algorithm (RFC 7518, section 3.2)."""

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS = frozenset(SECRET_BYTES) | RSA_ALGORITHMS | {*CURVES.values(), "EdDSA"}
"""All that can be pinned; ``none`` is not one."""

ANONYMOUS_KEYS = 8
"""Most keys that are tried for a token which does not name its own."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it may be used for, which the key itself decides and no token.

    Attributes:
        algorithms: A secret's are never those of a public key, nor the other way round.
        material: As PyJWT takes it.
        id: How a token names it; None if it has no name.
    """

    algorithms: frozenset[str]
    material: Any = field(repr=False)
    id: str | None = None


class KeySource(ABC):
    """Where the keys of one issuer are."""

    @abstractmethod
    async def find(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        """Return the keys that a token may have been signed with: mostly one, maybe none.

        Raises:
            Refused: It cannot be said at present.
        """


class FixedKeys(KeySource):
    """Keys from the settings or a file."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[Key]:
        return matching(self.keys, key_id, algorithm) or matching(
            [key for key in self.keys if key.id is None], None, algorithm
        )


def matching(keys: Iterable[Key], key_id: str | None, algorithm: str) -> list[Key]:
    """Return those of that name that may be used for ``algorithm``.

    Without a name they are all, unless they are too many to be tried one by one.
    """
    fit = [key for key in keys if algorithm in key.algorithms and key_id in (None, key.id)]
    return fit if key_id is not None or len(fit) <= ANONYMOUS_KEYS else []


def secret_key(secret: str) -> Key:
    """Return the key that is a shared secret; the longer, the more algorithms.

    Raises:
        ConfigError: It is too short, or it is no secret but a public key.
    """
    material = secret.encode("utf-8", "surrogatepass")
    least = SECRET_BYTES["HS256"]
    if len(material) < least:
        raise ConfigError(
            f"The secret for tokens has {len(material)} bytes and needs {least}: "
            f"make one with `openssl rand -base64 48`."
        )
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(material)
    except jwt.InvalidKeyError:
        raise ConfigError(
            "The secret for tokens is a public key or a certificate, which everybody may know: "
            "put it into a file, and name that as the key file."
        ) from None
    fit = {name for name, length in SECRET_BYTES.items() if len(material) >= length}
    return Key(frozenset(fit), material)
