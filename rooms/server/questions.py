"""What a node answers to another one's questions: it looks here, and acts here."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from rooms.errors import Forced
from rooms.protocol.bus import (
    ClientInfo,
    CloseClient,
    EndUser,
    ListClients,
    ListRooms,
    NodeInfo,
    Question,
    Recheck,
    Revoke,
    RoomInfo,
    SendAll,
    SendTo,
    ShowClient,
    ShowNode,
    SignedIn,
    TakeTicket,
)
from rooms.protocol.topics import parse_filter
from rooms.server.endings import end_sessions, revoke

if TYPE_CHECKING:
    from rooms.core.room import Room
    from rooms.server.client import Client
    from rooms.server.node import Node
    from rooms.server.session import Session
    from rooms.server.websocket import WebSocket


def client_order(client_id: str) -> tuple[int, str]:
    """Sort key of client ids: ``c9`` comes before ``c10``."""
    return len(client_id), client_id


def describe_client(node: Node, client: Client | WebSocket) -> ClientInfo:
    """Return what is told of a connection."""
    return ClientInfo(
        id=client.id,
        user=client.user,
        remote=client.remote,
        path=client.path,
        rooms=list(client.rooms),
        connected_at=client.connected_at,
        latency_ms=None if client.latency is None else round(client.latency * 1000, 3),
        waiting_bytes=client.waiting_bytes,
        node=node.life,
    )


def send_to(node: Node, question: SendTo) -> int:
    """Send an event to some clients, and return how many of them are here."""
    found = [session for each in question.clients if (session := _find(node, each)) is not None]
    for session in found:
        session.client.push(question.event, question.payload)
    return len(found)


def send_all(node: Node, message: SendAll) -> None:
    """Send an event to every client that is here."""
    exclude = set(message.exclude)
    for session in tuple(node.sessions.values()):
        if not session.signing_in and session.id not in exclude:
            session.client.push(message.event, message.payload)


def close_client(node: Node, question: CloseClient) -> bool:
    """End a connection, and say whether it was there."""
    found = _find(node, question.client) or node.endpoints.get(question.client)
    if found is not None:
        found.end(Forced(question.reason, question.code))
    return found is not None


def show_client(node: Node, question: ShowClient) -> ClientInfo | None:
    """Return what is told of a connection that is here."""
    found = _find(node, question.client) or node.endpoints.get(question.client)
    if found is None or found.client is None:
        return None
    return describe_client(node, found.client)


def list_clients(node: Node, question: ListClients) -> list[ClientInfo]:
    """Return a page of the connections, in the order of their ids."""
    after = None if question.after is None else client_order(question.after)
    every = _clients_in(node, question.room)
    behind = (client for client in every if after is None or client_order(client) > after)
    page = heapq.nsmallest(question.limit, behind, key=client_order)
    return [describe_client(node, every[client]) for client in page]


def list_rooms(node: Node, question: ListRooms) -> list[RoomInfo]:
    """Return a page of the rooms that are open here, in the order of their names."""
    rooms, after = parse_filter(question.filter), question.after
    names = (name for name in node.hub.rooms if rooms.matches(name))
    behind = (name for name in names if after is None or name > after)
    page = heapq.nsmallest(question.limit, behind)
    return [_describe_room(node, node.hub.rooms[name]) for name in page]


def show_node(node: Node, question: ShowNode) -> NodeInfo:
    """Return what this node tells of itself."""
    return node.info


def end_user(node: Node, question: EndUser) -> int:
    """End the connections that are here of a user, or of a token."""
    return end_sessions(
        node,
        user=question.user,
        token_id=question.token_id,
        code=question.code,
        reason=question.reason,
    )


def revoke_here(node: Node, question: Revoke) -> int:
    """End what a token or a user has signed in here, and refuse it from now on."""
    user, token, until = question.user, question.token_id, question.expires_at
    return revoke(node, user=user, token_id=token, expires_at=until, since=question.since)


def take_ticket(node: Node, question: TakeTicket) -> SignedIn | None:
    """Use up a ticket that this node has given, and return whose it is."""
    identity = None
    if node.gate is not None:
        identity = node.gate.tickets.redeem(question.ticket, time.time())
    if identity is None:
        return None
    return SignedIn(
        user=identity.user,
        expires_at=identity.expires_at,
        token_id=identity.token_id,
        rooms=None if identity.grants is None else identity.grants.claim,
        claims=identity.claims,
    )


def recheck(node: Node, question: Recheck) -> None:
    """Ask anew who of those here may stay where they are."""
    for session in list(node.sessions.values()):
        if session.guard is not None and question.user in (None, session.origin.user):
            session.guard.recheck()


def _find(node: Node, client: str) -> Session | None:
    """Return a connection that is here, once it is known whose it is."""
    session = node.sessions.get(client)
    return None if session is None or session.signing_in else session


def _clients_in(node: Node, room: str | None) -> Mapping[str, Client | WebSocket]:
    if room is None:
        return {**node.clients, **node.websockets}
    opened = node.hub.rooms.get(room)
    ids = () if opened is None else (member.id for member in opened)
    return {client: session.client for client in ids if (session := _find(node, client))}


def _describe_room(node: Node, room: Room) -> RoomInfo:
    return RoomInfo(room.name, len(room.roster), room.position, [node.life])


ANSWERS: dict[type[Question], Callable[[Node, Any], Any]] = {
    CloseClient: close_client,
    EndUser: end_user,
    ListClients: list_clients,
    ListRooms: list_rooms,
    Recheck: recheck,
    Revoke: revoke_here,
    SendTo: send_to,
    ShowClient: show_client,
    ShowNode: show_node,
    TakeTicket: take_ticket,
}
"""Who answers what."""


def everywhere(node: Node, question: Question) -> Any:
    """Do something here and have the other nodes do it too; returns the answer of this node.

    Raises:
        ValueError: It cannot be said to others, as half a surrogate pair cannot: nothing is done.
    """
    msgspec.json.encode(question)
    if node.cluster is not None:
        node.cluster.ask_soon(question)
    return ANSWERS[type(question)](node, question)
