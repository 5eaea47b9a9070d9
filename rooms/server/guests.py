"""Names for people who have no account: held for whoever brings the same secret."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import NamedTuple

from rooms.errors import NameTaken, Unauthorized
from rooms.protocol.commands import User
from rooms.protocol.names import check_user, plain


@dataclass(slots=True)
class _Held:
    user: User
    digest: bytes
    connections: int = 0


class Claim(NamedTuple):
    """A name that is held: what is the same for all that look alike, and a digest of its secret."""

    key: str
    secret: str
    user: User


class Guests:
    """Who is signed in as a guest under which name.

    A name belongs to the first who takes it, for as long as one of their connections lives; the
    secret lets them come back with a second tab or after a reload.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def sign_in(self, name: str, secret: str) -> User:
        """Return the user of that name; neither letters' case nor form makes a difference.

        Raises:
            InvalidName, ReservedName: As `check_user`.
            Unauthorized: There is no secret.
            NameTaken: The name is held with another secret.
        """
        check_user(name)
        if not secret:
            raise Unauthorized("A guest needs a secret that keeps the name: send any random text.")
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        held = self._held.setdefault(_key(name), _Held(User(name, name), digest))
        if not hmac.compare_digest(held.digest, digest):
            raise NameTaken(f"Somebody else is {name!r} at the moment; choose another name.")
        held.connections += 1
        return held.user

    def sign_out(self, user: User) -> bool:
        """Note that one connection of ``user`` is gone, and say whether it was the last."""
        held = self._held[_key(user.id)]
        held.connections -= 1
        if not held.connections:
            del self._held[_key(user.id)]
        return not held.connections

    @property
    def claims(self) -> list[Claim]:
        """All names that are held."""
        return [self._claim(key) for key in self._held]

    def claim_of(self, user: User) -> Claim:
        """Return what other nodes must know of a name that is held."""
        return self._claim(_key(user.id))

    def holds(self, key: str) -> bool:
        """Whether a name is held, in the form that is the same for all that look alike."""
        return key in self._held

    def settle(self, key: str, name: str) -> User:
        """Have a name that is held here written as where it was held first."""
        held = self._held[key]
        if held.user.id != name:
            held.user = User(name, name)
        return held.user

    def _claim(self, key: str) -> Claim:
        held = self._held[key]
        return Claim(key, held.digest.hex(), held.user)


def _key(name: str) -> str:
    """Return what is the same for names that look alike (Unicode 16, section 3.13, D146)."""
    return plain(plain(name).casefold())
