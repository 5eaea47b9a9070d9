"""Who is signed in to the admin API with a cookie."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from rooms.core.admin_tokens import AdminToken, digest_of

SESSIONS = 128
"""Most sessions at a time; the oldest ends for one more."""


class AdminSession(NamedTuple):
    """A session.

    Attributes:
        token: That it was opened with: it ends with that.
        expires_at: The time, of the clock that its owner goes by.
    """

    token: AdminToken
    expires_at: float


class AdminSessions:
    """All sessions by the digests of their ids: what is kept opens nothing."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, AdminSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, session_id: str, token: AdminToken, expires_at: float) -> None:
        """Begin a session.

        Args:
            session_id: That nobody can guess.
        """
        self._sessions[digest_of(session_id.encode())] = AdminSession(token, expires_at)
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)

    def find(self, session_id: str, now: float) -> AdminSession | None:
        """Return the session of that id, unless it is over."""
        key = digest_of(session_id.encode())
        session = self._sessions.get(key)
        if session is not None and session.expires_at <= now:
            del self._sessions[key]
            return None
        return session

    def close(self, session_id: str) -> None:
        """End a session, if there is one of that id."""
        self._sessions.pop(digest_of(session_id.encode()), None)
