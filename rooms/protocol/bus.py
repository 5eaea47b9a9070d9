"""What nodes tell each other beside publications, as types: versioned, by schema, limited in size.

JSON, because payloads and details are JSON already and pass through as they are.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from rooms.protocol.commands import NULL, User
from rooms.protocol.shown import safe_repr

VERSION = 1
"""Of the messages below; a node skips those of a newer one."""

MESSAGE_BYTES = 1024 * 1024
"""The largest message: far below what an engine lets wait for a reader that is slow."""

Page = Annotated[int, Meta(ge=1, le=1001)]


class BadMessage(ValueError):
    """Not a message of ours; ``reason`` is a word for the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Present(Struct, frozen=True, array_like=True, gc=False):
    """One connection in a room: its user, and what is told of it.

    Attributes:
        details: A JSON object, or null for nothing; `told` says the same.
    """

    user: str
    details: Raw = NULL

    @property
    def told(self) -> Raw | None:
        """What is told of it; None is nothing."""
        return None if bytes(self.details) == b"null" else self.details.copy()


class NodeInfo(Struct, frozen=True, omit_defaults=True):
    """What a node tells of itself.

    Attributes:
        id: Made at its start; the clients' ids end with it.
        told: How many `RoomsChanged` it has sent.
    """

    id: str
    version: str = ""
    started_at: float = 0.0
    host: str = ""
    pid: int = 0
    clients: int = 0
    lag: float = 0.0
    told: int = 0


class RoomChange(Struct, frozen=True, array_like=True, gc=False):
    """How the connections of one node in one room changed.

    Attributes:
        clients: By id; None for one that is gone.
        whole: Whether there are no others.
    """

    clients: dict[str, Present | None]
    whole: bool = False


class ClientInfo(Struct, frozen=True):
    """A connection, as other nodes are told of it.

    Attributes:
        latency_ms: Of the last ping that was answered; null before the first.
        waiting_bytes: How much waits for the client to read it.
        node: Which node it is connected to.
    """

    id: str
    user: User | None
    remote: str
    path: str
    rooms: list[str]
    connected_at: float
    latency_ms: float | None
    waiting_bytes: int
    node: str


class RoomInfo(Struct, frozen=True):
    """A room that is open on a node.

    Attributes:
        position: Of the last publication that was delivered there.
        nodes: Where it is open.
    """

    name: str
    count: int
    position: Any
    nodes: list[str]


# What is asked of other nodes.


class SendTo(Struct, frozen=True, tag="send_to"):
    """Send an event to these clients; answered by how many of them are connected."""

    clients: list[str]
    event: str
    payload: Raw


class CloseClient(Struct, frozen=True, tag="close_client"):
    """End a connection; answered by whether there was one."""

    client: str
    code: int
    reason: str


class ShowClient(Struct, frozen=True, tag="show_client"):
    """Answered by a `ClientInfo` or null."""

    client: str


class ListClients(Struct, frozen=True, tag="list_clients"):
    """Answered by a list of `ClientInfo`, of one room or of all."""

    limit: Page
    after: str | None = None
    room: str | None = None


class ListRooms(Struct, frozen=True, tag="list_rooms"):
    """Answered by a list of `RoomInfo`."""

    filter: str
    limit: Page
    after: str | None = None


class ShowNode(Struct, frozen=True, tag="show_node"):
    """Answered by a `NodeInfo`."""


class EndUser(Struct, frozen=True, tag="end_user"):
    """End the connections of a user, or of a token; answered by how many there were."""

    user: str | None
    token_id: str | None
    code: int
    reason: str


class Revoke(Struct, frozen=True, tag="revoke"):
    """As `EndUser`, and refuse their tokens; answered by how many connections there were.

    Attributes:
        since: When that was said: newer tokens of the user are good, however late this arrives.
    """

    user: str | None
    token_id: str | None
    expires_at: float | None
    since: float | None = None


class TakeTicket(Struct, frozen=True, tag="take_ticket"):
    """Use up a one-time ticket of the node that is asked; answered by a `SignedIn` or null."""

    ticket: str

    def __repr__(self) -> str:
        return safe_repr(self)


class SignedIn(Struct, frozen=True, omit_defaults=True):
    """Whom a ticket is of, as other nodes are told it.

    Attributes:
        rooms: What may be done in which rooms, as in a token; None leaves that to the application.
    """

    user: User
    expires_at: float | None = None
    token_id: str = ""
    rooms: dict[str, list[str]] | None = None
    claims: dict[str, Any] = {}


class Recheck(Struct, frozen=True, tag="recheck"):
    """Ask anew who may stay where they are; answered by nothing."""

    user: str | None


Question = (
    SendTo
    | CloseClient
    | ShowClient
    | ListClients
    | ListRooms
    | ShowNode
    | EndUser
    | Revoke
    | Recheck
    | TakeTicket
)


# What is told.


class Announced(Struct, frozen=True, tag="announced"):
    """This node is there, and what it holds can be read; nothing read before counts.

    Attributes:
        told: As in `NodeInfo`.
    """

    told: int


class Gone(Struct, frozen=True, tag="gone"):
    """This node has ended, and so have its connections."""


class RoomsChanged(Struct, frozen=True, tag="rooms_changed"):
    """How the connections of this node changed in some rooms.

    Attributes:
        number: Counts up by one; a gap means that something was lost.
    """

    number: int
    rooms: dict[str, RoomChange]


class SendAll(Struct, frozen=True, tag="send_all"):
    """Send an event to every client, but to those whose ids are excluded."""

    event: str
    payload: Raw
    exclude: list[str] = []


class SendNamed(Struct, frozen=True, tag="send_named"):
    """Send an event to those who go by these names, if they are there."""

    names: list[str]
    event: str
    payload: Raw


class Noted(Struct, frozen=True, tag="noted"):
    """What was revoked, and has been written where nodes that start later find it.

    Attributes:
        notes: Of each the name, since when, and for how many seconds it is to be remembered.
    """

    notes: list[tuple[str, float, float]]


class Ask(Struct, frozen=True, tag="ask"):
    """Answer a question, to the node that asks."""

    id: int
    question: Question


class Answer(Struct, frozen=True, tag="answer"):
    """What was asked, or with a ``problem`` why there is no answer."""

    id: int
    content: Raw = NULL
    problem: str = ""


Message = Announced | Gone | RoomsChanged | SendAll | SendNamed | Noted | Ask | Answer


class _Envelope(Struct, frozen=True, array_like=True):
    version: Annotated[int, Meta(ge=1)]
    node: Annotated[str, Meta(min_length=1, max_length=64)]
    message: Raw


_envelopes = msgspec.json.Decoder(_Envelope)
_messages = msgspec.json.Decoder(Message)


def encode(node: str, message: Message, version: int = VERSION) -> bytes:
    """Return a message of ``node`` as it is sent.

    Raises:
        BadMessage: It is larger than `MESSAGE_BYTES`.
    """
    encoded = Raw(msgspec.json.encode(message))
    data = msgspec.json.encode(_Envelope(version, node, encoded))
    if len(data) > MESSAGE_BYTES:
        raise BadMessage("oversized")
    return data


def decode(data: bytes) -> tuple[str, Message]:
    """Return who sent a message, and the message.

    Raises:
        BadMessage: It is ``oversized``, of a ``newer`` version, or ``malformed``.
    """
    if len(data) > MESSAGE_BYTES:
        raise BadMessage("oversized")
    try:
        envelope = _envelopes.decode(data)
        if envelope.version > VERSION:
            raise BadMessage("newer")
        return envelope.node, _messages.decode(envelope.message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadMessage("malformed") from None
