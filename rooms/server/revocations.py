"""Tokens that hold no more although their time is not over."""

from __future__ import annotations

import structlog

from rooms.core.identity import Identity

REVOCATIONS = 100_000
"""How many are remembered of tokens, and as many of users; they take some 20 MB."""

log = structlog.get_logger("rooms")


class Revocations:
    """Remembers what was revoked, each for a time; all times are seconds since 1970.

    Args:
        limit: The most that are remembered of a kind.  One more, and the one that would be
            forgotten next is, which the log says.
    """

    def __init__(self, limit: int = REVOCATIONS) -> None:
        self._limit = limit
        self._tokens: dict[str, float] = {}
        self._users: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def add_token(self, token_id: str, until: float, now: float) -> None:
        """Revoke the token of that id.

        Args:
            until: When it would end by itself.
        """
        self._tokens[token_id] = max(until, self._tokens.get(token_id, until))
        self._shrink(self._tokens, now)

    def add_user(self, user: str, until: float, now: float) -> None:
        """Revoke the tokens that a user was issued up to now.

        Args:
            until: When the last of them would end by itself.
        """
        self._users[user] = max(until, self._users.get(user, until))
        self._since[user] = now
        for gone in self._shrink(self._users, now):
            del self._since[gone]

    def cover_token(self, token_id: str, now: float) -> bool:
        """Whether the token of that id is revoked."""
        return self._tokens.get(token_id, 0.0) > now

    def cover(self, identity: Identity, now: float) -> bool:
        """Whether the token behind ``identity`` is revoked.

        A token that does not say by the claim ``iat`` when it was issued is revoked by its id
        alone.
        """
        if identity.token_id and self.cover_token(identity.token_id, now):
            return True
        user, issued = identity.user.id, identity.claims.get("iat")
        if self._users.get(user, 0.0) <= now or not isinstance(issued, int | float):
            return False
        return issued <= self._since[user]

    def _shrink(self, kept: dict[str, float], now: float) -> list[str]:
        """Forget what is over, and what would be next if there is too much; return their names."""
        if len(kept) <= self._limit:
            return []
        gone = [name for name, until in kept.items() if until <= now]
        if not gone:
            gone = [min(kept, key=kept.__getitem__)]
            log.warning("too many revocations: one is forgotten early", limit=self._limit)
        for name in gone:
            del kept[name]
        return gone
