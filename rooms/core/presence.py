"""Who is in a room: users, each with the connections that they have there."""

from __future__ import annotations

from itertools import islice

from rooms.protocol.commands import Presence


class Roster:
    """The users of one room, and how they changed since somebody was last told.

    A user joins with the first connection and leaves with the last one.  Changes that undo each
    other before anybody was told are never told.
    """

    __slots__ = ("_joined", "_left", "_users")

    def __init__(self) -> None:
        self._users: dict[str, list[str]] = {}
        self._joined: dict[str, None] = {}
        self._left: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._users)

    def add(self, user: str, client: str) -> None:
        """Note one more connection of ``user``."""
        clients = self._users.get(user)
        if clients is not None:
            clients.append(client)
            return
        self._users[user] = [client]
        if self._left.pop(user, None) is None:
            self._joined[user] = None

    def remove(self, user: str, client: str) -> None:
        """Note that a connection of ``user`` is gone."""
        clients = self._users[user]
        clients.remove(client)
        if clients:
            return
        del self._users[user]
        if user in self._joined:
            del self._joined[user]
        else:
            self._left[user] = [client]

    @property
    def changed(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._joined or self._left)

    def take_changes(self, limit: int) -> tuple[Presence, Presence]:
        """Return who joined and who left since this was last called, ``limit`` users of each."""
        joined = {user: _entries(self._users[user]) for user in islice(self._joined, limit)}
        left = {user: _entries(gone) for user, gone in islice(self._left.items(), limit)}
        self._joined, self._left = {}, {}
        return joined, left

    def page(self, limit: int) -> Presence:
        """Return the first ``limit`` users, those who came first before the others."""
        return {user: _entries(clients) for user, clients in islice(self._users.items(), limit)}


def _entries(clients: list[str]) -> list[dict[str, str]]:
    return [{"client": client} for client in clients]
