"""Who is in a room: users, each with the connections that they have there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from msgspec import Raw

from rooms.protocol.commands import Presence

PresenceMode = Literal["users", "connections", "off"]
"""Of what a room's members are told: users who come and go, each connection too, or nothing."""

NAMED_CONNECTIONS = 100
"""The most connections of one user that are named."""

LIST_BYTES = 128 * 1024
"""A list takes no further user when it has about this size."""

ENTRY_BYTES = 24
"""About what a connection takes in a list without its details."""

Entries = list[dict[str, Any]]
"""A user's connections as they are told: ``{"client": "c7", "details": {…}}``."""


class Page(NamedTuple):
    """Some users, in the order of their names, and whether there are more behind them."""

    users: Presence
    more: bool


class Changes(NamedTuple):
    """How a roster changed: who came, who went, and who stayed with other connections.

    Attributes:
        left: With the connections that they had.
        changed: With all connections that they have now.
        more: Whether there are changes that are not named.
    """

    joined: Presence
    left: Presence
    changed: Presence
    more: bool


@dataclass(slots=True)
class _Change:
    """What members know of a user that is not what is so.

    Attributes:
        before: The connections of which they were last told.
        lists: How many lists had been made when this was last looked at.
        listed: Whether somebody has got a list that says something else than ``before``.
    """

    before: Entries
    lists: int
    listed: bool = False


class Roster:
    """The users of one room, and how they changed since the members were last told.

    A user joins with the first connection and leaves with the last one.  Changes that undo each
    other before anybody could know of them are never told.  A connection that was lost may be
    kept for a while (`linger`): if its user comes back meanwhile, the new one takes its place.
    """

    __slots__ = (
        "_changes",
        "_details",
        "_first",
        "_lingering",
        "_lists",
        "_mode",
        "_names",
        "_users",
    )

    def __init__(self, mode: PresenceMode = "users") -> None:
        self._mode = mode
        self._users: dict[str, tuple[str, ...]] = {}
        self._names: list[str] = []  # the users, sorted: pages hold whoever comes and goes
        self._details: dict[str, Raw] = {}
        self._lingering: dict[str, list[str]] = {}
        self._changes: dict[str, _Change] = {}
        self._lists = 0
        self._first: tuple[int, Page] | None = None  # the page that everybody gets who joins

    def __len__(self) -> int:
        return len(self._users)

    @property
    def silent(self) -> bool:
        """Whether members are told how many there are, but not who."""
        return self._mode == "off"

    @property
    def lingers(self) -> bool:
        """Whether there is a connection that is lost and may come back."""
        return bool(self._lingering)

    @property
    def changed(self) -> bool:
        """Whether there may be something to tell."""
        return bool(self._changes)

    def add(self, user: str, client: str, details: Raw | None = None) -> str | None:
        """Note one more connection of ``user``, or one that takes a lingering one's place.

        Returns:
            The one whose place it takes, if it takes one's.
        """
        self._note(user)
        clients = self._users.get(user)
        replaced = None
        if clients is None:
            insort(self._names, user)
            self._users[user] = (client,)
        elif user in self._lingering:
            replaced = self._replace(clients, user, client)
        else:
            self._users[user] = (*clients, client)
        if details is not None:
            self._details[client] = details
        return replaced

    def remove(self, user: str, client: str) -> None:
        """Note that a connection of ``user`` is gone."""
        clients = self._users[user]
        place = clients.index(client)
        self._note(user)
        self._details.pop(client, None)
        if len(clients) > 1:
            self._users[user] = clients[:place] + clients[place + 1 :]
        else:
            del self._users[user]
            del self._names[bisect_left(self._names, user)]

    def set_details(self, user: str, client: str, details: Raw | None) -> None:
        """Note what is to be told of a connection; None is nothing but that it is there."""
        if details == self._details.get(client):
            return
        self._note(user)
        if details is None:
            del self._details[client]
        else:
            self._details[client] = details

    def linger(self, user: str, client: str) -> None:
        """Keep a connection that is lost until `forget`, or until its user comes back."""
        self._lingering.setdefault(user, []).append(client)

    def forget(self, user: str, client: str) -> bool:
        """Remove a connection if it still lingers, and say whether that was done."""
        if client not in self._lingering.get(user, ()):
            return False
        self._stop_lingering(user, client)
        self.remove(user, client)
        return True

    def page(self, limit: int, after: str | None = None) -> Page:
        """Return up to ``limit`` users in the order of their names, those behind ``after``."""
        self._lists += 1
        if after is not None:
            return self._page(limit, after)
        if self._first is None or self._first[0] != limit:
            self._first = (limit, self._page(limit, None))
        return self._first[1]

    def _page(self, limit: int, after: str | None) -> Page:
        start = 0 if after is None else bisect_right(self._names, after)
        names = self._names[start : start + limit]
        users = _cut(names, self._entries, limit)
        return Page(users, start + len(users) < len(self._names))

    def take_changes(self, limit: int) -> Changes | None:
        """Return what to tell now, up to ``limit`` users of each kind; None if there is nothing."""
        changes, self._changes = self._changes, {}
        joined, left, changed = list[str](), list[str](), list[str]()
        for user, change in changes.items():
            if user not in self._users:
                if change.before or change.listed:
                    left.append(user)
            elif not change.before:
                joined.append(user)
            elif change.listed or self._differs(change.before, user):
                changed.append(user)
        if not (joined or left or changed):
            return None
        named = (
            _cut(joined, self._entries, limit),
            _cut(left, lambda user: changes[user].before, limit),
            _cut(changed, self._entries, limit),
        )
        more = sum(map(len, named)) < len(joined) + len(left) + len(changed)
        return Changes(*named, more)

    def drop_changes(self) -> None:
        """Forget how it was before, as there is nobody to be told."""
        self._changes.clear()

    def _note(self, user: str) -> None:
        """Remember how it is, before it changes."""
        if self._first is not None and self._is_on(self._first[1], user):
            self._first = None
        if self.silent:
            return
        change = self._changes.get(user)
        if change is None:
            self._changes[user] = _Change(self._entries(user), self._lists)
        elif change.lists != self._lists:
            change.lists = self._lists
            change.listed |= self._differs(change.before, user)

    def _is_on(self, page: Page, user: str) -> bool:
        """Whether a user is, or would be, on the first page."""
        return not page.more or user <= self._names[len(page.users) - 1]

    def _replace(self, clients: tuple[str, ...], user: str, client: str) -> str:
        """Put a connection in the place of one that lingers, and return that one."""
        lost = self._lingering[user][0]
        self._stop_lingering(user, lost)
        self._details.pop(lost, None)
        place = clients.index(lost)
        self._users[user] = (*clients[:place], client, *clients[place + 1 :])
        return lost

    def _stop_lingering(self, user: str, client: str) -> None:
        lost = self._lingering[user]
        lost.remove(client)
        if not lost:
            del self._lingering[user]

    def _entries(self, user: str) -> Entries:
        clients = self._users.get(user, ())[:NAMED_CONNECTIONS]
        if not self._details:
            return [{"client": client} for client in clients]
        return [self._entry(client) for client in clients]

    def _entry(self, client: str) -> dict[str, Any]:
        details = self._details.get(client)
        return {"client": client} if details is None else {"client": client, "details": details}

    def _differs(self, before: Entries, user: str) -> bool:
        """Whether a user is now in a way that is worth telling who knows of ``before``."""
        now = self._entries(user)
        if self._mode == "connections":
            return before != now
        return bool(before) != bool(now) or _details_of(before) != _details_of(now)


def _details_of(entries: Entries) -> list[Raw]:
    return [entry["details"] for entry in entries if "details" in entry]


def _cut(users: Iterable[str], entries_of: Callable[[str], Entries], limit: int) -> Presence:
    """Return the first users with their connections, as many as one list takes."""
    taken: Presence = {}
    size = 0
    for user in users:
        if len(taken) == limit or size >= LIST_BYTES:
            break
        taken[user] = entries = entries_of(user)
        size += len(user) + ENTRY_BYTES * len(entries)
        for entry in entries:
            if len(entry) > 1:
                size += len(entry["details"])
    return taken
