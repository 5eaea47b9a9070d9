"""What a node answers to another one's questions: it looks here, and acts here."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rooms.protocol.bus import (
    ClientInfo,
    CloseClient,
    ListClients,
    ListRooms,
    NodeInfo,
    Question,
    RoomInfo,
    SendTo,
    ShowClient,
    ShowNode,
)
from rooms.protocol.topics import parse_filter

if TYPE_CHECKING:
    from rooms.core.room import Room
    from rooms.server.client import Client
    from rooms.server.node import Node


def client_order(client_id: str) -> tuple[int, str]:
    """Sort key of client ids: ``c9`` comes before ``c10``."""
    return len(client_id), client_id


def describe_client(node: Node, client: Client) -> ClientInfo:
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
    found = [node.sessions[client] for client in question.clients if client in node.sessions]
    for session in found:
        session.push(question.event, question.payload)
    return len(found)


def close_client(node: Node, question: CloseClient) -> bool:
    """End a connection, and say whether it was there."""
    session = node.sessions.get(question.client)
    if session is not None:
        session.client.close(question.code, question.reason)
    return session is not None


def show_client(node: Node, question: ShowClient) -> ClientInfo | None:
    """Return what is told of a connection that is here."""
    session = node.sessions.get(question.client)
    return None if session is None else describe_client(node, session.client)


def list_clients(node: Node, question: ListClients) -> list[ClientInfo]:
    """Return a page of the connections, in the order of their ids."""
    after = None if question.after is None else client_order(question.after)
    ids = (client for client in _clients_in(node, question.room) if client in node.sessions)
    behind = (client for client in ids if after is None or client_order(client) > after)
    page = heapq.nsmallest(question.limit, behind, key=client_order)
    return [describe_client(node, node.sessions[client].client) for client in page]


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


def _clients_in(node: Node, room: str | None) -> Iterable[str]:
    if room is None:
        return node.sessions
    opened = node.hub.rooms.get(room)
    return () if opened is None else (member.id for member in opened)


def _describe_room(node: Node, room: Room) -> RoomInfo:
    return RoomInfo(room.name, len(room.roster), room.position, [node.life])


ANSWERS: dict[type[Question], Callable[[Node, Any], Any]] = {
    CloseClient: close_client,
    ListClients: list_clients,
    ListRooms: list_rooms,
    SendTo: send_to,
    ShowClient: show_client,
    ShowNode: show_node,
}
"""Who answers what."""
