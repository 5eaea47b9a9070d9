"""One-time tickets: a sign-in that may stand in a URL, because it is worth nothing afterwards."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from typing import NamedTuple

from rooms.core.identity import Identity
from rooms.errors import Unavailable

TICKETS = 10_000
"""How many may be out at a time."""

TICKETS_PER_USER = 16
"""How many of one user; with one more, the user's oldest is worth nothing."""

TICKET_BYTES = 24


class _Issued(NamedTuple):
    identity: Identity
    until: float


class Tickets:
    """The tickets of one node; what is kept of each would not let anybody in.

    Args:
        limit: How many may be out at a time.
        limit_per_user: How many of one user.

    Attributes:
        node: What each begins with: where there are several nodes, who has given it.
    """

    def __init__(self, limit: int = TICKETS, limit_per_user: int = TICKETS_PER_USER) -> None:
        self.node = ""
        self._limit = limit
        self._limit_per_user = limit_per_user
        self._issued: dict[bytes, _Issued] = {}  # the oldest first
        self._users: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._issued)

    def issue(self, identity: Identity, seconds: float, now: float) -> str:
        """Return a new ticket that is good for ``seconds``.

        Raises:
            Unavailable: Too many are out.
        """
        user = identity.user.id
        self._forget([key for key, issued in self._issued.items() if issued.until <= now])
        if self._users[user] >= self._limit_per_user:
            self._forget([self._oldest_of(user)])
        if len(self._issued) >= self._limit:
            raise Unavailable("Too many tickets are out; try again in a moment.")
        ticket = self.node + secrets.token_urlsafe(TICKET_BYTES)
        self._issued[_digest(ticket)] = _Issued(identity, now + seconds)
        self._users[user] += 1
        return ticket

    def redeem(self, ticket: str, now: float) -> Identity | None:
        """Return whose a ticket is, once; None if it is unknown, used or too old."""
        key = _digest(ticket)
        issued = self._issued.get(key)
        if issued is None:
            return None
        self._forget([key])
        return issued.identity if issued.until > now else None

    def drop(self, user: str) -> None:
        """Make a user's tickets worth nothing."""
        if self._users[user]:
            self._forget(
                [key for key, each in self._issued.items() if each.identity.user.id == user]
            )

    def _oldest_of(self, user: str) -> bytes:
        return next(key for key, each in self._issued.items() if each.identity.user.id == user)

    def _forget(self, keys: list[bytes]) -> None:
        for key in keys:
            user = self._issued.pop(key).identity.user.id
            self._users[user] -= 1
            if not self._users[user]:
                del self._users[user]


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
