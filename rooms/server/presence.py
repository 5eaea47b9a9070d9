"""What a connection tells of itself in its rooms, and how it leaves them when it ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rooms.core.hub import PRESENCE_USERS
from rooms.core.room import Room
from rooms.errors import Disconnect, Lost, NoPong, ShuttingDown, SlowConsumer, TokenExpired
from rooms.protocol.commands import Presence, User
from rooms.server import guest_names as guests
from rooms.server import membership

if TYPE_CHECKING:
    from rooms.server.node import Node
    from rooms.server.session import Session

DETAILS_BYTES = 1024
"""The most that one connection can have told of it, as JSON."""

GOING_AWAY = 1001
"""How a browser closes when its page is reloaded or left (RFC 6455, section 7.4.1)."""


def set_details(session: Session, details: dict[str, Any]) -> None:
    """Have ``details`` told of a connection, in the rooms that it is in and those to come.

    Raises:
        ValueError: They are no JSON object, or larger than `DETAILS_BYTES`.
    """
    session.details = _encode(details)
    for room in session.rooms.values():
        session.node.hub.set_details(room, session, session.user_key, session.details)


def _encode(details: dict[str, Any]) -> Raw | None:
    try:
        encoded = msgspec.json.encode(details)
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"presence cannot be said in JSON: {error}") from None
    if not encoded.startswith(b"{"):
        raise ValueError(f"presence must be a JSON object, not {type(details).__name__}")
    if len(encoded) > DETAILS_BYTES:
        raise ValueError(
            f"presence takes {len(encoded)} bytes as JSON; at most {DETAILS_BYTES} are told"
        )
    return None if encoded == b"{}" else Raw(encoded)


def first_users(room: Room) -> Presence | UnsetType:
    """Return the first page of who is in a room, where members are told."""
    return UNSET if room.roster.silent else room.roster.page(PRESENCE_USERS).users


def depart(session: Session, reason: Disconnect) -> None:
    """Take a connection that has ended out of its rooms and give a guest's name back.

    If its user may be back in a moment, the others are not told before that has passed.
    """
    node, user = session.node, session.client.user
    if user is None or not _may_return(session, reason):
        for name in tuple(session.rooms):
            membership.leave(session, name)
        _free_name(node, user)
        return
    rooms = tuple(session.rooms.values())
    session.rooms.clear()
    for room in rooms:
        node.hub.lose(room, session, user.id)
    over = partial(_forget, node, session.id, user, rooms)
    node.timers.call_later(node.settings.presence_grace, over)


def _may_return(session: Session, reason: Disconnect) -> bool:
    """Whether a connection was lost, or taken along by a page that may only be loading anew.

    Where there are other nodes, who is sent away by this one comes back to them.
    """
    node = session.node
    if not session.rooms or not node.settings.presence_grace:
        return False
    if node.draining and node.cluster is None:
        return False
    by_the_peer = session.reason is None
    lost = isinstance(reason, Lost | NoPong | SlowConsumer | TokenExpired)
    sent_away = node.draining and isinstance(reason, ShuttingDown)
    return lost or sent_away or (by_the_peer and reason.code == GOING_AWAY)


def _forget(node: Node, client: str, user: User, rooms: tuple[Room, ...]) -> None:
    """Stop waiting for a user to come back."""
    for room in rooms:
        node.hub.forget(room, client, user.id)
        node.release_room(room)
    _free_name(node, user)


def _free_name(node: Node, user: User | None) -> None:
    if user is not None and node.takes_guests:
        guests.sign_out(node, user)
