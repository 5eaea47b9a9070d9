"""The rooms that a connection is in, and the filters that it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from rooms.core.room import Room
from rooms.errors import LimitExceeded, NotMember, RoomsError
from rooms.protocol.names import check_room
from rooms.protocol.topics import Filter

if TYPE_CHECKING:
    from rooms.server.session import Session


def check_join(session: Session, name: str) -> None:
    """Do nothing if a connection may be a member of one more room.

    Raises:
        RequestError: It may not.
    """
    check_room(name)
    limit = session.node.settings.rooms_per_client
    if len(session.rooms) >= limit and name not in session.rooms:
        raise LimitExceeded(f"A connection can be in {limit} rooms; leave one first.")


def join_now(session: Session, name: str) -> Room:
    """Make a connection a member of a room.

    Raises:
        RequestError: It may not be one.
        trio.WouldBlock: The broker must be waited for; await `join`.
    """
    check_join(session, name)
    return enter(session, session.node.open_room_nowait(name))


async def join(session: Session, name: str) -> Room:
    """As `join_now`, waiting where that would block."""
    room = await open_room(session, name)
    try:
        await trio.lowlevel.checkpoint_if_cancelled()  # the connection may have ended
        return enter(session, room)
    finally:
        session.node.release_room(room)


async def open_room(session: Session, name: str) -> Room:
    """Return a room that a connection may `enter`; release it if it does not.

    Raises:
        RequestError: It may not be a member.
    """
    check_join(session, name)
    return await session.node.open_room(name)


def enter(session: Session, room: Room) -> Room:
    """Make a connection a member of an open room.

    Raises:
        AlreadyJoined, RoomsError: It is one; it has ended.
    """
    if session.goodbye is not None:
        raise RoomsError("this connection has ended")
    session.node.hub.join(room, session, session.user_key, session.details)
    session.rooms[room.name] = room
    return room


def joined(session: Session, name: str) -> Room:
    """Return the room of that name.

    Raises:
        NotMember: The connection is not in it.
    """
    room = session.rooms.get(name)
    if room is None:
        raise NotMember(f"Join {name!r} first.")
    return room


def leave(session: Session, name: str) -> None:
    """Take a connection out of a room that it is in."""
    room = session.rooms.pop(name)
    session.node.hub.leave(room, session, session.user_key)
    session.node.release_room(room)
    if session.guard is not None:
        session.guard.drop_pass(name)


async def follow(session: Session, rooms: Filter) -> None:
    """Have a client told what is published in the rooms that a filter names.

    Raises:
        LimitExceeded: It follows as many filters as it may.
    """
    limit = session.node.settings.filters_per_client
    if rooms.text in session.filters:
        return
    if len(session.filters) >= limit:
        raise LimitExceeded(f"A connection can have {limit} filters; unsubscribe one first.")
    await session.node.broker.follow(rooms)
    session.filters[rooms.text] = rooms
    session.node.hub.follow(rooms, session)


def unfollow(session: Session, rooms: Filter) -> None:
    """Undo `follow`; it need not have been done."""
    if session.filters.pop(rooms.text, None) is not None:
        session.node.hub.unfollow(rooms, session)
        session.node.broker.unfollow(rooms)
