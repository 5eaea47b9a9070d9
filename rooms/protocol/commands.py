"""The native protocol's frames as types: what a client says and what the server answers.

Incoming frames are validated against `Command`, a union tagged by ``type``; a field that is not
listed here is ignored.  Payloads stay undecoded (`msgspec.Raw`), so that a message which only
passes through is neither parsed nor built again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from rooms.errors import RequestError, Unrecoverable
from rooms.protocol.shown import safe_repr

NULL = Raw(b"null")
Id = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]
"""A client's own number or text that ties a reply to its command."""


Key = Annotated[str, Meta(min_length=1, max_length=128)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


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

    def __repr__(self) -> str:
        return safe_repr(self)


class Join(CommandBase, frozen=True, tag="join", kw_only=True):
    """Become a member of a room, and be told what was missed.

    Attributes:
        since: The last position that the client has seen of the room.
        must_recover: Do not join if what was missed cannot be told in full.
        token: Allows that room, and only that, to a client that may not join otherwise.
    """

    room: str
    since: Position | None = None
    must_recover: bool = False
    token: str = ""

    def __repr__(self) -> str:
        return safe_repr(self)


class Leave(CommandBase, frozen=True, tag="leave", kw_only=True):
    """Stop being a member of a room."""

    room: str


class SendEvent(CommandBase, frozen=True, tag="event", kw_only=True):
    """An event, to a room or to the server.

    Attributes:
        key: The sender's own name for what it publishes: sent again, it is published once.
    """

    event: str
    room: str | None = None
    payload: Raw = NULL
    key: Key | None = None


class ListPresence(CommandBase, frozen=True, tag="presence", kw_only=True):
    """Ask who is in a room.

    Attributes:
        after: The last user of the page before, to get the next one.
        limit: The most users in the answer.
    """

    room: str
    after: str | None = None
    limit: Limit = 100


class ListHistory(CommandBase, frozen=True, tag="history", kw_only=True):
    """Ask what was published in a room, the newest first or the oldest.

    Attributes:
        since: Only what came after.
        before: Only what came before.
        order: ``newest`` or ``oldest`` first; if not given, the oldest if there is a ``since``.
        limit: The most publications in the answer.
    """

    room: str
    since: Position | None = None
    before: Position | None = None
    order: Literal["newest", "oldest"] | None = None
    limit: Limit = 50


class Subscribe(CommandBase, frozen=True, tag="subscribe", kw_only=True):
    """Get the events of all rooms that a filter names, without being in them."""

    filter: str


class Unsubscribe(CommandBase, frozen=True, tag="unsubscribe", kw_only=True):
    """Undo `Subscribe`."""

    filter: str


class Ping(CommandBase, frozen=True, tag="ping"):
    """Ask for a sign of life."""


class Pong(CommandBase, frozen=True, tag="pong"):
    """A sign of life."""


Command = (
    Auth
    | Join
    | Leave
    | SendEvent
    | ListPresence
    | ListHistory
    | Subscribe
    | Unsubscribe
    | Ping
    | Pong
)


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
        auth: Said to who has not signed in and can, by `Auth`: whether that is ``required`` before
            anything else is done.
        expires_in: Seconds for which it is signed in, unless it sends a new token.
    """

    client: str
    user: User | None
    ping: float
    limits: Limits
    auth: Literal["required", "optional"] | UnsetType = UNSET
    expires_in: float | UnsetType = UNSET


class Publication(Struct, frozen=True, tag_field="type", tag="event", kw_only=True, gc=False):
    """An event on its way to every member of a room."""

    event: str
    room: str
    payload: Raw
    sender: Origin | UnsetType = field(default=UNSET, name="from")
    position: Position


class Reply(Struct, frozen=True, tag_field="type", tag="reply", kw_only=True):
    """The one answer to a command that carried an id.

    Attributes:
        expires_in: As in `Welcome`, after a sign-in.
        recovered: Whether nothing is missing and nothing comes twice since the client's position.
        missed: What was published since then, the oldest first.
        reason: Why it is not recovered: ``epoch_changed``, ``too_old``, ``too_many`` or
            ``forbidden``.
        more: Whether there is more: `Missed` frames behind this one, or another page to ask for.
    """

    id: Id
    room: str | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    payload: Any | UnsetType = UNSET
    user: User | UnsetType = UNSET
    expires_in: float | UnsetType = UNSET
    presence: Presence | UnsetType = UNSET
    count: int | UnsetType = UNSET
    recovered: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    missed: list[Publication] | UnsetType = UNSET
    publications: list[Publication] | UnsetType = UNSET
    more: bool | UnsetType = UNSET


class Missed(Struct, frozen=True, tag_field="type", tag="missed", kw_only=True):
    """More of what a client missed, in order, before anything new of that room."""

    room: str
    missed: list[Publication]
    more: bool


class Push(Struct, frozen=True, tag_field="type", tag="event", gc=False):
    """An event to one client, with whatever its sender puts beside the payload."""

    event: str
    payload: Raw
    headers: Raw | UnsetType = UNSET


class PresenceChange(Struct, frozen=True, tag_field="type", tag="presence", kw_only=True):
    """Users who came with their first or went with their last connection, or otherwise changed.

    Attributes:
        left: With the connections that they had.
        changed: Users who stayed, with all connections that they have now.
        more: Whether there were more changes than could be named; list again to know them.
        position: Where the room stood when it was so; a list with a later one is newer.
    """

    room: str
    joined: Presence
    left: Presence
    changed: Presence | UnsetType = UNSET
    count: int
    position: Position
    more: bool | UnsetType = UNSET


class Dropped(Struct, frozen=True, tag_field="type", tag="dropped", kw_only=True):
    """Messages of a room that this client did not get: it read too slowly, or the broker lost them.

    Attributes:
        count: How many publications; 0 with a new epoch, where nobody knows.
        position: Of the last one, so that they can be asked for in the room's history.
        presence: Whether changes of presence were lost, too; list again to know them.
    """

    room: str
    count: int
    position: Position
    presence: bool | UnsetType = UNSET


class Left(Struct, frozen=True, tag_field="type", tag="left", kw_only=True):
    """The client was taken out of a room, or off a filter: it may not have it any more.

    Attributes:
        reason: As the code of an error.
    """

    room: str | UnsetType = UNSET
    filter: str | UnsetType = UNSET
    reason: str


class ErrorReply(Struct, frozen=True, tag_field="type", tag="error", kw_only=True):
    """A command failed, or a frame could not be understood (then without id)."""

    id: Id | UnsetType = UNSET
    code: str
    message: str
    reason: str | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET


class PongReply(Struct, frozen=True, tag_field="type", tag="pong", kw_only=True):
    """The answer to a `Ping`."""

    id: Id | UnsetType = UNSET


Message = (
    Welcome
    | Reply
    | Missed
    | Publication
    | Push
    | PresenceChange
    | Dropped
    | Left
    | ErrorReply
    | PongReply
)


def error_reply(error: RequestError, command_id: Id | None) -> ErrorReply:
    """Return what the sender of a command that failed is told."""
    return ErrorReply(
        id=UNSET if command_id is None else command_id,
        code=error.code,
        message=error.message,
        reason=error.reason if isinstance(error, Unrecoverable) else UNSET,
        retry_after=UNSET if error.retry_after is None else error.retry_after,
    )
