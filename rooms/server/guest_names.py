"""How a guest signs in under a name: at once, or where there are other nodes, once they know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rooms.errors import ConnectionLimit, Unauthorized
from rooms.protocol.commands import Auth, Reply, User

if TYPE_CHECKING:
    from rooms.server.cluster import Cluster
    from rooms.server.node import Node
    from rooms.server.session import Session


def sign_in_now(session: Session, command: Auth) -> bool:
    """Sign a guest in and reply, or return False if other nodes must be asked.

    Raises:
        RequestError: It cannot be done.
    """
    _check(session, command)
    if session.node.cluster is not None:
        return False
    user = session.node.guests.sign_in(command.name, command.secret)
    try:
        session.sign_in(user)
    except ConnectionLimit:
        sign_out(session.node, user)
        raise
    _answer(session, command, user)
    return True


async def sign_in(session: Session, command: Auth, cluster: Cluster) -> None:
    """As `sign_in_now`, for a name that no other node may hold.

    Raises:
        RequestError: It cannot be done.
    """
    _check(session, command)
    user = session.node.guests.sign_in(command.name, command.secret)
    signed_in = False
    try:
        user = await cluster.claims.claim(user)
        session.sign_in(user)
        signed_in = True
    finally:
        if not signed_in:
            sign_out(session.node, user)
    _answer(session, command, user)


def sign_out(node: Node, user: User) -> None:
    """Note that one connection of a guest is gone."""
    key = node.guests.claim_of(user).key
    if node.guests.sign_out(user) and node.cluster is not None:
        node.cluster.claims.release(key)


def _check(session: Session, command: Auth) -> None:
    if not session.node.takes_guests or not command.name:
        raise Unauthorized("This server takes no sign-in by name or token.")
    if session.client.user is not None or session.rooms:
        raise Unauthorized("Sign in once, before joining a room.")


def _answer(session: Session, command: Auth, user: User) -> None:
    if command.id is not None:
        session.say(Reply(id=command.id, user=user))
