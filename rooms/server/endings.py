"""What an application, or an operator, ends: one user's connections, or one token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from rooms.errors import Forced, NotSignedIn

if TYPE_CHECKING:
    from rooms.server.node import Node
    from rooms.server.raw import RawConnection
    from rooms.server.session import Session

REVOKED = "sign-in revoked"
SIGNED_OUT = "signed out"

MARGIN_SECONDS = 3600.0
"""How much longer than its token a revocation is remembered: a token is taken a leeway longer than
it says, and by clocks that differ."""

log = structlog.get_logger("rooms")


def end_sessions(
    node: Node,
    *,
    user: str | None = None,
    token_id: str | None = None,
    code: int = Forced.close_code,
    reason: str = SIGNED_OUT,
) -> int:
    """End the connections of a user, or those that a token has signed in; return how many.

    Plain data alone, so that another node can be asked for the same.
    """
    found = [each for each in node.connections if _concerns(each, user, token_id)]
    for session in found:
        session.end(Forced(reason, code))
    if user is not None and node.gate is not None:
        node.gate.log_out(user)
    return len(found)


def revoke(
    node: Node,
    *,
    user: str | None = None,
    token_id: str | None = None,
    expires_at: float | None = None,
    since: float | None = None,
) -> int:
    """End what one token, or all tokens of a user so far, have signed in, and refuse them from now.

    Args:
        expires_at: When they end by themselves, in seconds since 1970, and need not be
            remembered any longer.  If not given, what is known of the connections, or
            ``revocation_seconds`` from now.
        since: When it was revoked; now if not given.

    Returns:
        How many connections were ended.
    """
    _remember(node, user, token_id, expires_at, since or time.time())
    code = NotSignedIn.close_code
    ended = end_sessions(node, user=user, token_id=token_id, code=code, reason=REVOKED)
    log.info("sign-in revoked", user=user, token_id=token_id, connections=ended)
    return ended


def end_revoked(node: Node) -> None:
    """End the connections whose sign-in was revoked, wherever that was."""
    now = time.time()
    for each in node.connections:
        if each.identity is not None and node.revocations.cover(each.identity, now):
            each.end(Forced(REVOKED, NotSignedIn.close_code))


def _remember(
    node: Node, user: str | None, token_id: str | None, expires_at: float | None, now: float
) -> None:
    until = now + node.settings.revocation_seconds if expires_at is None else expires_at
    until += MARGIN_SECONDS
    if user is not None:
        node.revocations.add_user(user, until, now)
    if token_id is not None:
        node.revocations.add_token(token_id, until, now)
    for session in node.connections:
        identity = session.identity
        if identity is not None and identity.token_id and _concerns(session, user, token_id):
            ends = max(until, (identity.expires_at or 0) + MARGIN_SECONDS)
            node.revocations.add_token(identity.token_id, ends, now)


def _concerns(session: Session | RawConnection, user: str | None, token_id: str | None) -> bool:
    identity = session.identity
    if token_id is not None and identity is not None and identity.token_id == token_id:
        return True
    return user is not None and session.origin.user == user
