"""Tokens that hold no more although their time is not over."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Literal, NamedTuple

import structlog

from rooms.core.identity import Identity

REVOCATIONS = 100_000
"""How many are remembered of tokens, and as many of users; they take some 80 MB."""

Kind = Literal["token", "user"]

log = structlog.get_logger("rooms")


class Revocation(NamedTuple):
    """What was revoked; all times are seconds since 1970.

    Attributes:
        name: The id of a token, or of a user.
        until: When that may be forgotten.
        since: When it was revoked: of a user those tokens that were issued until then.
    """

    kind: Kind
    name: str
    until: float
    since: float


class Revocations:
    """Remembers what was revoked, each for a time.

    Args:
        limit: The most that are remembered of a kind.  One more, and the one that would be
            forgotten next is, which the log says.

    Attributes:
        changed: Called when something was added that others may not know; never blocks.
    """

    def __init__(self, limit: int = REVOCATIONS) -> None:
        self._limit = limit
        self._kept: dict[Kind, dict[str, Revocation]] = {"token": {}, "user": {}}
        self._ends: dict[Kind, list[tuple[float, str]]] = {"token": [], "user": []}  # heaps
        self._unsaid: dict[tuple[Kind, str], None] = {}
        self.changed: Callable[[], None] = _tell_nobody

    def add_token(self, token_id: str, until: float, now: float) -> None:
        """Revoke the token of that id.

        Args:
            until: When it would end by itself.
        """
        self._add(Revocation("token", token_id, until, now), now)

    def add_user(self, user: str, until: float, now: float) -> None:
        """Revoke the tokens that a user was issued up to now.

        Args:
            until: When the last of them would end by itself.
        """
        self._add(Revocation("user", user, until, now), now)

    def learn(self, told: Revocation, now: float) -> None:
        """Remember what others know already."""
        kept = self._kept[told.kind]
        known = kept.get(told.name, told)
        until, since = max(told.until, known.until), max(told.since, known.since)
        if told.name not in kept or until != known.until:
            heappush(self._ends[told.kind], (until, told.name))
        kept[told.name] = told._replace(until=until, since=since)
        self._shrink(told.kind, now)

    def cover_token(self, token_id: str, now: float) -> bool:
        """Whether the token of that id is revoked."""
        return self._find("token", token_id, now) is not None

    def cover(self, identity: Identity, now: float) -> bool:
        """Whether the token behind ``identity`` is revoked.

        A token that does not say by the claim ``iat`` when it was issued is revoked by its id
        alone.
        """
        if identity.token_id and self.cover_token(identity.token_id, now):
            return True
        found, issued = self._find("user", identity.user.id, now), identity.claims.get("iat")
        if found is None or not isinstance(issued, int | float):
            return False
        return issued <= found.since

    # What others are to be told.

    def unsaid(self, most: int) -> list[Revocation]:
        """Return some of what was added and not `said`."""
        names = list(self._unsaid)[:most]
        return [self._kept[kind][name] for kind, name in names]

    def said(self, told: list[Revocation]) -> None:
        """Note that these need not be said again, unless they have changed."""
        for each in told:
            if self._kept[each.kind].get(each.name) == each:
                self._unsaid.pop((each.kind, each.name), None)

    def say_all(self) -> None:
        """Have everything said again."""
        for kept in self._kept.values():
            self._unsaid.update(((each.kind, each.name), None) for each in kept.values())
        self.changed()

    def _add(self, new: Revocation, now: float) -> None:
        self.learn(new, now)
        if new.name in self._kept[new.kind]:
            self._unsaid[new.kind, new.name] = None
            self.changed()

    def _find(self, kind: Kind, name: str, now: float) -> Revocation | None:
        found = self._kept[kind].get(name)
        return None if found is None or found.until <= now else found

    def _shrink(self, kind: Kind, now: float) -> None:
        """Forget what is over, and what would be next if there is too much.

        It costs as little for the last of a hundred thousand as for the first.
        """
        kept, ends = self._kept[kind], self._ends[kind]
        while ends and (ends[0][0] <= now or len(kept) > self._limit):
            until, name = heappop(ends)
            if name not in kept or kept[name].until != until:  # it was revoked for longer since
                continue
            if until > now:
                log.warning("too many revocations: one is forgotten early", limit=self._limit)
            del kept[name]
            self._unsaid.pop((kind, name), None)
        if len(ends) > 2 * len(kept):
            ends[:] = [(each.until, each.name) for each in kept.values()]
            heapify(ends)


def _tell_nobody() -> None:
    """There is nobody else."""
