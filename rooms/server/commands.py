"""The protocol's own commands; events that have a handler are `rooms.server.dispatch`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio
from msgspec.structs import replace

from rooms.core.history import Page
from rooms.core.room import Room
from rooms.errors import (
    Malformed,
    RequestError,
    Unrecoverable,
)
from rooms.protocol.commands import (
    Auth,
    Command,
    Join,
    Leave,
    ListHistory,
    ListPresence,
    Missed,
    Ping,
    Pong,
    PongReply,
    Position,
    Reply,
    SendEvent,
    Subscribe,
    Unsubscribe,
)
from rooms.protocol.foreign import ForeignEvent, Said, Tell
from rooms.protocol.topics import parse_filter
from rooms.server import dispatch, guard, guest_names, membership, signin
from rooms.server.presence import first_users
from rooms.server.recovery import UNREADABLE, Recovery, pages, recover, recover_now
from rooms.server.room_tokens import check_token
from rooms.server.telling import tell, tell_now

if TYPE_CHECKING:
    from rooms.server.session import Session


async def perform(session: Session, command: Said) -> None:
    """Do what ``command`` asks and reply, waiting for whatever it takes.

    Raises:
        RequestError: It may not be done.
    """
    if session.signing_in:
        await signin.perform(session, command)
    elif isinstance(command, SendEvent):
        await dispatch.event(session, command)
    elif not NOW[type(command)](session, command):
        await LATER[type(command)](session, command)


def _join_now(session: Session, command: Join) -> bool:
    if command.token:
        return False
    session.pace.check_join()
    membership.check_join(session, command.room)
    recovery = None
    try:
        guard.permit_now(session, "join", command.room)
        if command.since is not None:
            recovery = _recover_now(session, command.room, command.since)
            _check_recovery(command, recovery)
        room = membership.join_now(session, command.room)
    except trio.WouldBlock:
        session.pace.forget_join()
        return False
    _joined(session, command, room, recovery)
    return True


async def _join(session: Session, command: Join) -> None:
    session.pace.check_join()
    membership.check_join(session, command.room)
    if not command.token:
        await _enter(session, command)
        return
    shown = await check_token(session, command.room, command.token)
    with guard.showing(session, command.room, shown):
        if command.room not in session.rooms:
            await _enter(session, command)
        elif command.id is not None:
            session.say(Reply(id=command.id, room=command.room))


async def _enter(session: Session, command: Join) -> None:
    turn = guard.turn_of(session)
    await guard.permit(session, "join", command.room)
    room = await membership.open_room(session, command.room)
    try:
        recovery = None
        if command.since is not None:
            recovery = await _recover(session, room, command.since)
            _check_recovery(command, recovery)
        guard.check_turn(session, turn)
        membership.enter(session, room)
    finally:
        session.node.release_room(room)
    _joined(session, command, room, recovery)


def _recover_now(session: Session, room: str, since: Position) -> Recovery:
    """Return what a client missed, as far as it may read it."""
    try:
        guard.permit_now(session, "history", room)
    except RequestError:
        return UNREADABLE
    return recover_now(session.node, room, since)


async def _recover(session: Session, room: Room, since: Position) -> Recovery:
    try:
        await guard.permit(session, "history", room.name)
    except RequestError:
        return UNREADABLE
    return await recover(session.node, room, since)


def _check_recovery(command: Join, recovery: Recovery) -> None:
    if command.id is None:
        raise Malformed("What was missed is told in the reply, so `since` needs an `id`.")
    if command.must_recover and recovery.reason is not None:
        raise Unrecoverable(recovery.reason)


def _joined(session: Session, command: Join, room: Room, recovery: Recovery | None) -> None:
    """Tell a new member where the room stands, and what it missed, a page a frame."""
    if command.id is None:
        return
    reply = Reply(
        id=command.id,
        room=room.name,
        position=room.position,
        presence=first_users(room),
        count=len(room.roster),
    )
    if recovery is None:
        session.say(reply)
    elif recovery.reason is not None:
        session.say(replace(reply, recovered=False, reason=recovery.reason))
    else:
        first, *others = pages(recovery.missed)
        session.say(replace(reply, recovered=True, missed=first, more=bool(others)))
        for number, page in enumerate(others, 1):
            session.say(Missed(room=room.name, missed=page, more=number < len(others)))


def _leave_now(session: Session, command: Leave) -> bool:
    membership.joined(session, command.room)
    membership.leave(session, command.room)
    if command.id is not None:
        session.say(Reply(id=command.id, room=command.room))
    return True


def _presence_now(session: Session, command: ListPresence) -> bool:
    try:
        guard.permit_now(session, "presence", command.room)
    except trio.WouldBlock:
        return False
    _say_presence(session, command)
    return True


async def _presence(session: Session, command: ListPresence) -> None:
    await guard.permit(session, "presence", command.room)
    _say_presence(session, command)


def _say_presence(session: Session, command: ListPresence) -> None:
    room = membership.joined(session, command.room)
    if command.id is None:
        return
    reply = Reply(id=command.id, room=room.name, position=room.position, count=len(room.roster))
    if not room.roster.silent:
        page = room.roster.page(command.limit, command.after)
        reply = replace(reply, presence=page.users, more=page.more)
    session.say(reply)


def _history_now(session: Session, command: ListHistory) -> bool:
    try:
        guard.permit_now(session, "history", command.room)
        membership.joined(session, command.room)
        page = session.node.broker.history_nowait(*_asked(command))
    except trio.WouldBlock:
        return False
    _say_history(session, command, page)
    return True


async def _history(session: Session, command: ListHistory) -> None:
    turn = guard.turn_of(session)
    await guard.permit(session, "history", command.room)
    membership.joined(session, command.room)
    page = await session.node.broker.history(*_asked(command))
    guard.check_turn(session, turn)
    membership.joined(session, command.room)  # it may have been taken out meanwhile
    _say_history(session, command, page)


def _asked(command: ListHistory) -> tuple[str, int, Position | None, Position | None, bool]:
    newest = command.order == "newest" or (command.order is None and command.since is None)
    return command.room, command.limit, command.since, command.before, newest


def _say_history(session: Session, command: ListHistory, page: Page) -> None:
    """Answer with as much of a page as one frame takes."""
    if command.id is not None:
        first, *others = pages(page.publications)
        reply = Reply(
            id=command.id,
            room=command.room,
            position=page.position,
            publications=first,
            more=page.more or bool(others),
        )
        session.say(reply)


async def _subscribe(session: Session, command: Subscribe) -> None:
    rooms = parse_filter(command.filter)
    turn = guard.turn_of(session)
    await guard.permit_filter(session, rooms)
    await membership.follow(session, rooms)
    try:
        guard.check_turn(session, turn)
    except RequestError:
        membership.unfollow(session, rooms)
        raise
    if command.id is not None:
        session.say(Reply(id=command.id))


def _unsubscribe_now(session: Session, command: Unsubscribe) -> bool:
    membership.unfollow(session, parse_filter(command.filter))
    if command.id is not None:
        session.say(Reply(id=command.id))
    return True


def _wait(session: Session, command: Command) -> bool:
    return False


def _batch_now(session: Session, commands: tuple[Said, ...]) -> bool:
    """Count what came in one message as if each had come alone; then each waits its turn."""
    session.received += max(0, len(commands) - 1)
    return not commands


def _auth_now(session: Session, command: Auth) -> bool:
    """Sign a guest in under a name; a token takes longer."""
    if session.node.gate is not None:
        return False
    return guest_names.sign_in_now(session, command)


async def _auth(session: Session, command: Auth) -> None:
    cluster = session.node.cluster
    if session.node.gate is None and cluster is not None:
        await guest_names.sign_in(session, command, cluster)
    else:
        await signin.sign_in(session, command)


def _ping_now(session: Session, command: Ping) -> bool:
    session.say(PongReply() if command.id is None else PongReply(id=command.id))
    return True


def _pong_now(session: Session, command: Pong) -> bool:
    return True  # any frame at all is a sign of life


NOW: dict[type[Said] | type[tuple[Said, ...]], Callable[[Session, Any], bool]] = {
    Auth: _auth_now,
    ForeignEvent: dispatch.event_now,
    Join: _join_now,
    Leave: _leave_now,
    ListHistory: _history_now,
    ListPresence: _presence_now,
    Ping: _ping_now,
    Pong: _pong_now,
    SendEvent: dispatch.event_now,
    Subscribe: _wait,
    Tell: tell_now,
    Unsubscribe: _unsubscribe_now,
    tuple: _batch_now,
}
"""What each command does at once: each says whether that was all, or whether it takes waiting, and
raises a RequestError where it may not be done."""

LATER: dict[type[Said], Callable[[Session, Any], Awaitable[None]]] = {
    Auth: _auth,
    Join: _join,
    ListHistory: _history,
    ListPresence: _presence,
    Subscribe: _subscribe,
    Tell: tell,
}
"""The rest of what could not be done at once."""
