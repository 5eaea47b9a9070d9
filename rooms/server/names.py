"""What connections call themselves, beside the ids that the server gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rooms.server.session import Session


class Names:
    """The connections of this node that go by a name, each by one that nobody else has."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __contains__(self, name: str | None) -> bool:
        return name in self._sessions

    def find(self, name: str) -> Session | None:
        """Return who goes by ``name``."""
        return self._sessions.get(name)

    def take(self, session: Session) -> bool:
        """Have others find a connection by its name, if it has one; False if that is taken."""
        name = session.client.name
        return name is None or self._sessions.setdefault(name, session) is session

    def release(self, session: Session) -> None:
        """Undo `take`, if it was done."""
        name = session.client.name
        if name is not None and self._sessions.get(name) is session:
            del self._sessions[name]
