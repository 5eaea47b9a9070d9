"""Sign-in by the session cookie of one's own Quart or Flask application."""

from __future__ import annotations

import hashlib
from typing import Any

from rooms.core.identity import Identity
from rooms.errors import Refused
from rooms.protocol.commands import User
from rooms.server.auth import Authenticator, Credentials

SESSION_SECONDS = 31 * 24 * 60 * 60
"""How long Quart and Flask keep a session, unless told otherwise."""


class SignedCookie(Authenticator):
    """Takes the user's id from a session that Quart or Flask has signed.

    A session without a user does not concern it; one whose signature is wrong or too old is
    refused.  Browsers send cookies along whatever page asks, so leave the check of origins on.

    Args:
        secret: The ``SECRET_KEY`` of that application; of several, any may have signed.
        key: Under which the session holds the user's id.
        name_key: Under which it holds the user's name, if it does.
        name: The cookie's.
        salt: The application's, if it has changed it.
        max_age: Seconds after which a session is too old, and a connection that it opened ends.
    """

    def __init__(
        self,
        secret: str | list[str],
        *,
        key: str = "user_id",
        name_key: str = "",
        name: str = "session",
        salt: str = "cookie-session",
        max_age: int = SESSION_SECONDS,
    ) -> None:
        from itsdangerous import URLSafeTimedSerializer

        if not secret:
            raise ValueError("the secret is empty: anybody could sign a session")
        self._serializer = URLSafeTimedSerializer(
            secret,
            salt=salt,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
        )
        self._key = key
        self._name_key = name_key
        self._name = name
        self._max_age = max_age

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        cookie = credentials.cookies.get(self._name)
        if not cookie:
            return None
        return self._identity(*self._load(cookie))

    def _load(self, cookie: str) -> tuple[Any, float]:
        """Return a session, and when it was signed."""
        from itsdangerous import BadData

        try:
            session, signed = self._serializer.loads(
                cookie, max_age=self._max_age, return_timestamp=True
            )
        except BadData:
            raise Refused("The session cookie is not valid any more: sign in again.") from None
        return session, signed.timestamp()

    def _identity(self, session: Any, signed: float) -> Identity | None:
        user = session.get(self._key) if isinstance(session, dict) else None
        if user is None or user == "" or isinstance(user, bool):  # False is nobody's id
            return None
        name = str(session.get(self._name_key) or "") if self._name_key else ""
        return Identity(
            user=User(str(user), name or str(user)),
            expires_at=signed + self._max_age,
            claims={"iat": signed},
        )
