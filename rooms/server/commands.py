"""The protocol's own commands; events that have a handler are `rooms.server.dispatch`'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from rooms.core.hub import PRESENCE_USERS
from rooms.core.room import Room
from rooms.errors import Unauthorized
from rooms.protocol.commands import (
    Auth,
    Command,
    Join,
    Leave,
    ListPresence,
    Ping,
    Pong,
    PongReply,
    Reply,
    SendEvent,
)
from rooms.server import dispatch

if TYPE_CHECKING:
    from rooms.server.session import Session


async def perform(session: Session, command: Command) -> None:
    """Do what ``command`` asks and reply, waiting for whatever it takes.

    Raises:
        RequestError: It may not be done.
    """
    if isinstance(command, SendEvent):
        await dispatch.event(session, command)
    elif not NOW[type(command)](session, command) and isinstance(command, Join):
        _joined(session, command, await session.join(command.room))


def _join_now(session: Session, command: Join) -> bool:
    try:
        room = session.join_now(command.room)
    except trio.WouldBlock:
        return False
    _joined(session, command, room)
    return True


def _joined(session: Session, command: Join, room: Room) -> None:
    if command.id is not None:
        reply = Reply(
            id=command.id,
            room=room.name,
            position=room.position,
            presence=room.roster.page(PRESENCE_USERS),
            count=len(room.roster),
        )
        session.say(reply)


def _leave_now(session: Session, command: Leave) -> bool:
    session.membership(command.room)
    session.leave(command.room)
    if command.id is not None:
        session.say(Reply(id=command.id, room=command.room))
    return True


def _presence_now(session: Session, command: ListPresence) -> bool:
    room = session.membership(command.room)
    if command.id is not None:
        page, total = room.roster.page(PRESENCE_USERS), len(room.roster)
        session.say(Reply(id=command.id, room=room.name, presence=page, count=total))
    return True


def _auth_now(session: Session, command: Auth) -> bool:
    """Sign a guest in under a name."""
    if not session.node.app.guests or not command.name:
        raise Unauthorized("This server takes no sign-in by name or token.")
    if session.client.user is not None or session.rooms:
        raise Unauthorized("Sign in once, before joining a room.")
    user = session.node.guests.sign_in(command.name, command.secret)
    session.sign_in(user)
    if command.id is not None:
        session.say(Reply(id=command.id, user=user))
    return True


def _ping_now(session: Session, command: Ping) -> bool:
    session.say(PongReply() if command.id is None else PongReply(id=command.id))
    return True


def _pong_now(session: Session, command: Pong) -> bool:
    return True  # any frame at all is a sign of life


NOW: dict[type[Command], Callable[[Session, Any], bool]] = {
    Auth: _auth_now,
    Join: _join_now,
    Leave: _leave_now,
    ListPresence: _presence_now,
    Ping: _ping_now,
    Pong: _pong_now,
    SendEvent: dispatch.event_now,
}
"""What each command does at once: each says whether that was all, or whether it takes waiting, and
raises a RequestError where it may not be done."""
