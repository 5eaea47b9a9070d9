"""Events from one connection to others, by the names that these go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Raw

from rooms.errors import Forbidden, LimitExceeded, UnknownEvent
from rooms.protocol.bus import BadMessage, SendNamed
from rooms.protocol.commands import Push, Reply
from rooms.protocol.foreign import Tell
from rooms.protocol.names import check_event

if TYPE_CHECKING:
    from rooms.server.node import Node
    from rooms.server.session import Session


def tell_now(session: Session, command: Tell) -> bool:
    """Pass an event on to those who go by the names, or return False if that takes waiting.

    Raises:
        RequestError: The client may not send that event, or not in this way.
    """
    check_event(command.event)
    if session.guard is not None:
        raise Forbidden("Under rules, events go to rooms; nobody is told by name.")
    if not session.node.app.relay:
        raise UnknownEvent("This server does not pass events on from one connection to another.")
    if session.node.cluster is not None:
        return False
    tell_here(session.node, command.names, command.event, command.payload)
    _reply(session, command)
    return True


async def tell(session: Session, command: Tell) -> None:
    """Pass an event on, to those on other nodes too.

    Raises:
        LimitExceeded, Unavailable: The others could not be told.
    """
    node = session.node
    if node.cluster is not None:
        message = SendNamed(list(command.names), command.event, command.payload)
        try:
            await node.cluster.tell_all(message)
        except BadMessage:
            raise LimitExceeded("That is too large to be sent to other nodes.") from None
    tell_here(node, command.names, command.event, command.payload)
    _reply(session, command)


def tell_here(node: Node, names: Iterable[str], event: str, payload: Raw) -> None:
    """Send an event to those on this node who go by the names."""
    push = Push(event, payload)
    for name in names:
        if (found := node.names.find(name)) is not None:
            found.say(push)


def _reply(session: Session, command: Tell) -> None:
    if command.id is not None:
        session.say(Reply(id=command.id))
