"""Who somebody has proved to be, and what came with the proof."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from rooms.core.grants import Grants
from rooms.protocol.commands import User


class Identity(Struct, frozen=True, kw_only=True):
    """The outcome of a successful sign-in.

    Attributes:
        user: Who it is; this alone is shown to others.
        expires_at: Seconds since 1970 after which it holds no more; None if it always does.
        token_id: Names the token, so that it can be revoked; empty if there was none.
        grants: What may be done in which rooms, if the token says so; None leaves that to the
            application.
        claims: All that the token said, for the application's own rules.
    """

    user: User
    expires_at: float | None = None
    token_id: str = ""
    grants: Grants | None = None
    claims: dict[str, Any] = field(default_factory=dict)
