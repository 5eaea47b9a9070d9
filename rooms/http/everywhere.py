"""What the admin API shows of all nodes, and what it does to clients wherever they are."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import msgspec
import trio

from rooms.http.errors import ApiError
from rooms.http.views import (
    ClientsPage,
    ClientView,
    EventOrder,
    NodesView,
    NodeView,
    PageQuery,
    RoomPage,
    RoomsPage,
    RoomsQuery,
    RoomView,
    client_view,
    page_of,
    room_view,
)
from rooms.protocol.bus import (
    ListClients,
    ListRooms,
    NodeInfo,
    Question,
    SendTo,
    ShowClient,
    ShowNode,
)
from rooms.protocol.topics import parse_filter
from rooms.server import reach
from rooms.server.app import App
from rooms.server.asking import Answers
from rooms.server.client import Client
from rooms.server.questions import client_order
from rooms.server.websocket import WebSocket

T = TypeVar("T")


async def list_rooms(app: App, asked: RoomsQuery) -> RoomsPage:
    """Return a page of the rooms of all nodes, by name."""
    rooms = parse_filter(asked.filter or "#")
    names = (name for name in app.room_names if rooms.matches(name))
    here, more = page_of(asked, names, str)
    found = {name: room_view(app.room(name), app.node.life) for name in here}
    answers = await _ask_all(app, ListRooms(asked.filter or "#", asked.limit + 1, asked.after))
    for view in _listed(answers, RoomView):
        if view.name in found:
            found[view.name].nodes += view.nodes
        elif more is None or view.name <= more:  # what is behind belongs to another page
            found[view.name] = view
    page, following = page_of(asked, found.values(), lambda view: view.name)
    return RoomsPage(page, following or more, answers.silent)


async def show_room(app: App, name: str, asked: PageQuery) -> RoomPage:
    """Return a room and a page of its members, of all nodes.

    Raises:
        ApiError: Nobody is in it.
    """
    views = [room_view(app.room(name), app.node.life)] if name in app.room_names else []
    answers = await _ask_all(app, ListRooms(name, 1))
    views += _listed(answers, RoomView)
    if not views:
        raise ApiError(404, "not_found", f"There is no room {name!r} with members.")
    members = [client_view(each, app.node.life) for each in app.room(name).members]
    more = await _ask_all(app, ListClients(asked.limit + 1, asked.after, name))
    members += _listed(more, ClientView)
    page, following = page_of(asked, members, lambda view: view.id, client_order)
    nodes = [node for view in views for node in view.nodes]
    first, silent = views[0], sorted({*answers.silent, *more.silent})
    return RoomPage(name, first.count, first.position, nodes, page, following, silent)


async def list_clients(app: App, asked: PageQuery) -> ClientsPage:
    """Return a page of the clients of all nodes, by id."""
    every: list[Client | WebSocket] = [*app.clients.values(), *app.websockets.values()]
    here, more = page_of(asked, every, lambda each: each.id, client_order)
    views = [client_view(each, app.node.life) for each in here]
    answers = await _ask_all(app, ListClients(asked.limit + 1, asked.after))
    views += _listed(answers, ClientView)
    page, following = page_of(asked, views, lambda view: view.id, client_order)
    return ClientsPage(page, following or more, answers.silent)


async def show_client(app: App, client_id: str) -> ClientView:
    """Return a client of any node.

    Raises:
        ApiError: There is none, or its node does not answer.
    """
    client = app.clients.get(client_id) or app.websockets.get(client_id)
    if client is not None:
        return client_view(client, app.node.life)
    content = await _ask_home(app, client_id, ShowClient(client_id))
    if content is None:
        raise not_found(client_id)
    return msgspec.convert(content, ClientView)


async def send(app: App, client_id: str, order: EventOrder) -> None:
    """Send an event to a client of any node.

    Raises:
        ApiError: There is none, or its node does not answer.
    """
    client = app.clients.get(client_id)
    if client is not None:
        await client.send(order.event, order.payload)
        return
    payload = msgspec.Raw(msgspec.json.encode(order.payload))
    if not await _ask_home(app, client_id, SendTo([client_id], order.event, payload)):
        message = f"There is no client {client_id!r} that takes events."
        raise ApiError(404, "not_found", message)


async def disconnect(app: App, client_id: str, code: int, reason: str) -> None:
    """End the connection of a client of any node.

    Raises:
        ApiError: There is none, or its node does not answer.
    """
    client = app.clients.get(client_id)
    if client is not None:
        client.close(code, reason)
        return
    found = await reach.close(app.node, client_id, code, reason)
    if found is None:
        raise _silent(reach.home_of(app.node, client_id))
    if not found:
        raise not_found(client_id)


async def list_nodes(app: App) -> NodesView:
    """Return all nodes that are alive, with what they tell of themselves now."""
    answers = await _ask_all(app, ShowNode())
    views = [_node_view(app.node.info, time.time(), True)]
    known = {} if app.node.cluster is None else app.node.cluster.known
    for node, (info, seen_at) in known.items():
        content = answers.contents.get(node)
        if content is not None:
            views.append(_node_view(msgspec.json.decode(content, type=NodeInfo), time.time(), True))
        else:
            ago = trio.current_time() - seen_at
            views.append(_node_view(info, time.time() - ago, False))
    return NodesView(sorted(views, key=lambda view: (view.started_at, view.id)), answers.silent)


def not_found(client_id: str) -> ApiError:
    """Return what is answered where there is no such client."""
    return ApiError(404, "not_found", f"There is no client {client_id!r}.")


def _silent(node: str | None) -> ApiError:
    return ApiError(503, "node_silent", f"The node {node!r} does not answer; try again.")


def _node_view(info: NodeInfo, last_seen: float, answered: bool) -> NodeView:
    return NodeView(
        id=info.id,
        version=info.version,
        host=info.host,
        pid=info.pid,
        started_at=info.started_at,
        uptime=max(0.0, time.time() - info.started_at),
        clients=info.clients,
        lag=info.lag,
        last_seen=last_seen,
        answered=answered,
    )


async def _ask_all(app: App, question: Question) -> Answers:
    """Return what all other nodes answer, if there are any."""
    if app.node.cluster is None:
        return Answers({}, [])
    return await app.node.cluster.ask(question)


async def _ask_home(app: App, client_id: str, question: Question) -> Any:
    """Return what the node of a client answers; None if there is no such node."""
    home = reach.home_of(app.node, client_id)
    if home is None or app.node.cluster is None:
        return None
    answers = await app.node.cluster.ask(question, [home])
    if home not in answers.contents:
        raise _silent(home)
    return msgspec.json.decode(answers.contents[home])


def _listed(answers: Answers, kind: type[T]) -> list[T]:
    """Return what all who answered have listed."""
    lists = (msgspec.json.decode(each, type=list[kind]) for each in answers.contents.values())  # type: ignore[valid-type]
    return [item for items in lists for item in items]
