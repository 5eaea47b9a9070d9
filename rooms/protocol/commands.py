"""The native protocol's frames as types: what a client says and what the server answers.

Incoming frames are validated against `Command`, a union tagged by ``type``; a field that is not
listed here is ignored.  Payloads stay undecoded (`msgspec.Raw`), so that a message which only
passes through is neither parsed nor built again.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

NULL = Raw(b"null")
Id = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]
"""A client's own number or text that ties a reply to its command."""


class Position(Struct, frozen=True, array_like=True, gc=False, order=True):
    """A place in a room's stream of publications, opaque to clients: ``[epoch, offset]``.

    The offset counts publications; the epoch names the life of the count.  Positions of different
    epochs cannot be compared.
    """

    epoch: str
    offset: int


class User(Struct, frozen=True, omit_defaults=True):
    """Who is behind a connection."""

    id: str
    name: str = ""


class Origin(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who published: the connection, and its user if it has signed in."""

    client: str | None = None
    user: str | None = None


# What a client says.


class CommandBase(Struct, frozen=True, tag_field="type", gc=False):
    """What all commands share: an optional id that asks for exactly one reply."""

    id: Id | None = None


class Auth(CommandBase, frozen=True, tag="auth"):
    """Sign in: by token, or as a guest by a name and a secret that keeps it."""

    token: str = ""
    name: str = ""
    secret: str = ""


class Join(CommandBase, frozen=True, tag="join", kw_only=True):
    """Become a member of a room."""

    room: str


class Leave(CommandBase, frozen=True, tag="leave", kw_only=True):
    """Stop being a member of a room."""

    room: str


class SendEvent(CommandBase, frozen=True, tag="event", kw_only=True):
    """An event, to a room or to the server."""

    event: str
    room: str | None = None
    payload: Raw = NULL


class ListPresence(CommandBase, frozen=True, tag="presence", kw_only=True):
    """Ask who is in a room."""

    room: str


class Ping(CommandBase, frozen=True, tag="ping"):
    """Ask for a sign of life."""


class Pong(CommandBase, frozen=True, tag="pong"):
    """A sign of life."""


Command = Auth | Join | Leave | SendEvent | ListPresence | Ping | Pong


# What the server says.

Presence = dict[str, list[dict[str, Any]]]
"""Users, each with the connections that they have in the room."""


class Limits(Struct, frozen=True):
    """What a client may count on: bytes a message, rooms a connection."""

    message: int
    rooms: int


class Welcome(Struct, frozen=True, tag_field="type", tag="welcome"):
    """The first frame of every connection.

    Attributes:
        ping: Seconds between two signs of life from the server.
    """

    client: str
    user: User | None
    ping: float
    limits: Limits


class Reply(Struct, frozen=True, tag_field="type", tag="reply", kw_only=True):
    """The one answer to a command that carried an id."""

    id: Id
    room: str | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    payload: Any | UnsetType = UNSET
    user: User | UnsetType = UNSET
    presence: Presence | UnsetType = UNSET
    count: int | UnsetType = UNSET


class Publication(Struct, frozen=True, tag_field="type", tag="event", kw_only=True, gc=False):
    """An event on its way to every member of a room."""

    event: str
    room: str
    payload: Raw
    sender: Origin | UnsetType = field(default=UNSET, name="from")
    position: Position


class Push(Struct, frozen=True, tag_field="type", tag="event", gc=False):
    """An event to one client."""

    event: str
    payload: Raw


class PresenceChange(Struct, frozen=True, tag_field="type", tag="presence", kw_only=True):
    """Users who came with their first or went with their last connection."""

    room: str
    joined: Presence
    left: Presence
    count: int


class ErrorReply(Struct, frozen=True, tag_field="type", tag="error", kw_only=True):
    """A command failed, or a frame could not be understood (then without id)."""

    id: Id | UnsetType = UNSET
    code: str
    message: str


class PongReply(Struct, frozen=True, tag_field="type", tag="pong", kw_only=True):
    """The answer to a `Ping`."""

    id: Id | UnsetType = UNSET


Message = Welcome | Reply | Publication | Push | PresenceChange | ErrorReply | PongReply
