"""Room tokens: a right to one room, shown when joining it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import trio

from rooms.core.identity import Identity
from rooms.errors import Forbidden, Unauthorized
from rooms.server import signin
from rooms.server.passes import Pass

if TYPE_CHECKING:
    from rooms.server.session import Session


async def check_token(session: Session, room: str, token: str) -> Pass:
    """Return what a room token allows.

    Raises:
        Unauthorized: It is no token of this server's, or holds no more.
        Forbidden: It is not for that room, or another user's.
        Internal, Unavailable: That cannot be found out.
    """
    gate = session.node.gate
    if gate is None:
        raise Unauthorized("This server takes no tokens: join without one.")
    identity = await signin.identify(session, gate, token)
    user = session.client.user
    if user is not None and user.id != identity.user.id:
        raise Forbidden("That room token is another user's.")
    if identity.grants is None or not identity.grants.allow("join", room):
        raise Forbidden(f"That room token is not for joining {room!r}.")
    return Pass(identity.grants, _deadline(identity))


def _deadline(identity: Identity) -> float:
    if identity.expires_at is None:
        return math.inf
    return trio.current_time() + identity.expires_at - time.time()
