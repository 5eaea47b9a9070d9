"""How many connections each user has here."""

from __future__ import annotations

from collections import Counter

from rooms.errors import ConnectionLimit


class Users:
    """Counts the connections of every signed-in user of this node."""

    def __init__(self) -> None:
        self._connections: Counter[str] = Counter()

    def add(self, user: str, limit: int) -> None:
        """Count one more connection.

        Args:
            limit: The most that one user may have; 0 sets none.

        Raises:
            ConnectionLimit: The user has as many.
        """
        if limit and self._connections[user] >= limit:
            raise ConnectionLimit(f"a user can have {limit} connections; close one first")
        self._connections[user] += 1

    def remove(self, user: str) -> None:
        """Count one less, of those that were added."""
        self._connections[user] -= 1
        if not self._connections[user]:
            del self._connections[user]
