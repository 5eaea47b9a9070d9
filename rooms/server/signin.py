"""How a connection gets its user: by its handshake, or by the message ``auth``, again and again."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog
import trio
from msgspec import UNSET, UnsetType

from rooms.core.identity import Identity
from rooms.errors import (
    Disconnect,
    Forced,
    Internal,
    NotSignedIn,
    Refused,
    RequestError,
    Unauthorized,
    Unavailable,
)
from rooms.protocol.commands import Auth, Limits, Ping, Pong, PongReply, Reply, Welcome
from rooms.protocol.foreign import Said
from rooms.server import dispatch, guard
from rooms.server.gate import FAILED, Gate, credentials_said

if TYPE_CHECKING:
    from rooms.server.session import Session

TRIES = 3
"""How often a connection may fail to sign in, one time after the other."""

log = structlog.get_logger("rooms")


def admit(session: Session, identity: Identity | None, turn: int, gate: Gate) -> None:
    """Have the user of a new connection be who its handshake proved, or wait for ``auth``.

    Args:
        turn: The gate's, when it was proved.
    """
    settings = session.node.settings
    if identity is not None:
        try:
            gate.check_since(identity, turn)  # it may have ended while the handshake was answered
            _become(session, identity)
        except Refused as refused:
            session.end(NotSignedIn(refused.reason))
        except Disconnect as full:
            session.end(full)
    elif not gate.anonymous:
        session.signing_in = True
        session.node.timers.call_later(settings.auth_seconds, partial(_give_up, session))


def greet(session: Session) -> None:
    """Say the first frame of all."""
    settings = session.node.settings
    limits = Limits(message=settings.message_bytes, rooms=settings.rooms_per_client)
    welcome = Welcome(
        session.id,
        session.client.user,
        settings.ping_seconds,
        limits,
        _asked_for(session),
        _expires_in(session.identity),
    )
    session.say(welcome)


def _asked_for(session: Session) -> Literal["required", "optional"] | UnsetType:
    if session.signing_in:
        return "required"
    return UNSET if session.node.gate is None or session.identity is not None else "optional"


async def begin(session: Session) -> None:
    """Tell the application of a connection, then do what its path says."""
    await dispatch.connected(session)
    for command in session.first:
        if session.reason is None:
            await session.perform(command)


async def perform(session: Session, command: Said) -> None:
    """Do what a client may ask for before it has signed in: that, and a sign of life.

    Raises:
        Unauthorized: It asks for something else, or does not prove who it is.
        NotSignedIn: It has failed to for the last time.
    """
    if isinstance(command, Auth):
        await sign_in(session, command)
        session.signing_in = False
        check_name(session)
        if session.reason is None:
            await begin(session)
    elif isinstance(command, Ping):
        session.say(PongReply(id=UNSET if command.id is None else command.id))
    elif not isinstance(command, Pong):
        raise Unauthorized("Sign in first: send `auth` with a token.")


async def sign_in(session: Session, command: Auth) -> None:
    """Have a connection's user be who a token proves, or go on to be; and reply.

    Raises:
        Unauthorized: It proves nothing, or that this is somebody else.
        NotSignedIn: That has happened too often.
    """
    gate = session.node.gate
    if gate is None or not command.token:
        raise Unauthorized("Send a `token`: this server takes no sign-in by name.")
    try:
        identity = await identify(session, gate, command.token)
        _become(session, identity)
    except Unauthorized as error:
        session.failed_sign_ins += 1
        if session.failed_sign_ins >= TRIES:
            raise NotSignedIn(error.message) from None
        raise
    session.failed_sign_ins = 0
    if command.id is not None:
        expires_in = _expires_in(identity)
        session.say(Reply(id=command.id, user=identity.user, expires_in=expires_in))


def check_name(session: Session) -> None:
    """Have a connection go by its name, if it has one; it ends if that was taken meanwhile."""
    if not session.signing_in and not session.node.names.take(session):
        session.end(Forced("that name is taken"))


def sign_out(session: Session) -> None:
    """Undo what came with a connection's user; it has ended."""
    if session.client.user is not None:
        session.node.users.remove(session.client.user.id)
    if session.identity is not None:
        session.node.expiries.remove(session)


async def identify(session: Session, gate: Gate, token: str) -> Identity:
    """Ask whose token it is, for as long as the settings allow.

    Raises:
        RequestError: Nobody's, or that cannot be found out now.
    """
    credentials = credentials_said(session.client.handshake, token)
    with trio.move_on_after(session.node.settings.auth_seconds):
        try:
            identity = await gate.identify(credentials)
            assert identity is not None  # what is refused raises
            return identity
        except Refused as refused:
            raise _error_of(session, refused) from None
    raise Unavailable("Checking the token takes too long; try again.")


def _error_of(session: Session, refused: Refused) -> RequestError:
    if refused.status == FAILED:
        return Internal()
    if refused.status > FAILED:
        return Unavailable(refused.reason)
    session.node.refusals.of_credentials(refused, session.client.remote)
    return Unauthorized(refused.reason)


def _become(session: Session, identity: Identity) -> None:
    """Make the user of a connection who has been proved.

    Raises:
        Unauthorized: The connection is somebody else's, or is in rooms without a name.
        ConnectionLimit: The user has as many connections here as one may have.
    """
    user = session.client.user
    if user is None:
        if session.rooms:
            raise Unauthorized("Sign in before joining a room, or connect anew.")
        session.sign_in(identity.user)
    elif user.id != identity.user.id:
        raise Unauthorized("That token is another user's: connect anew with it.")
    else:
        session.client.user = identity.user
    guard.identify(session, identity)
    expires_in = _expires_in(identity)
    session.node.expiries.set(session, None if expires_in is UNSET else expires_in)


def _expires_in(identity: Identity | None) -> float | UnsetType:
    """Return for how many seconds it holds, where that has an end."""
    if identity is None or identity.expires_at in (None, math.inf):
        return UNSET
    return max(0.0, round(identity.expires_at - time.time(), 3))


def _give_up(session: Session) -> None:
    if session.signing_in and session.goodbye is None:
        session.end(NotSignedIn("not signed in in time"))
