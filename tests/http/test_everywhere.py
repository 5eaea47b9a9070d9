"""The admin API of one node shows all of them, and reaches the clients of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from rooms import App, WebSocket
from rooms.http.site import create_site
from rooms.server.asking import ANSWER_SECONDS
from rooms.testing import TestClient
from tests.brokers.board import Board
from tests.http.fakes import TOKEN
from tests.server.cluster import Member, settled
from tests.server.cluster import opened as opened_nodes

if TYPE_CHECKING:
    from quart.typing import TestClientProtocol


async def stay(ws: WebSocket) -> None:
    """Greet, and wait for the end."""
    await ws.send("hello")
    async for _ in ws:
        pass


HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


@asynccontextmanager
async def opened(nodes: int) -> AsyncIterator[list[Member]]:
    """Run several nodes whose admin API knows the token."""
    async with opened_nodes(nodes, Board(), admin_token=TOKEN) as members:
        yield members


@cache
def site_of(app: App) -> TestClientProtocol:
    """Return a client of a node's site."""
    return create_site(app, app.node.settings, web=Path(__file__).parent).test_client()


async def ask(member: Member, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask a node's admin API, or have it do something; returns status and content."""
    client = site_of(member.app)
    if body is None:
        answer = await client.get(path, headers=HEADERS)
    else:
        data = msgspec.json.encode(body)
        answer = await client.post(path, headers=HEADERS, data=data)
    return answer.status_code, msgspec.json.decode(await answer.get_data(as_text=False))


async def test_rooms_of_all_nodes_are_listed_in_pages(autojump_clock: object) -> None:
    async with opened(3) as (a, b, c):
        for member, rooms in ((a, "acd"), (b, "bcz"), (c, "cxy")):
            for room in rooms:
                await member.enter(room=room)
        await settled()
        seen: list[Any] = []
        path = "/api/rooms?limit=2"
        while path:
            _, page = await ask(b, path)
            assert len(page["rooms"]) <= 2
            seen += page["rooms"]
            path = f"/api/rooms?limit=2&after={page['next']}" if page["next"] else ""
        assert [room["name"] for room in seen] == list("abcdxyz")
        assert seen[2]["count"] == 3
        assert set(seen[2]["nodes"]) == {a.cluster.id, b.cluster.id, c.cluster.id}
        assert seen[0]["nodes"] == [a.cluster.id]
        _, page = await ask(b, "/api/rooms?filter=%2B&limit=100")
        assert len(page["rooms"]) == 7


async def test_clients_of_all_nodes_are_listed_and_shown(autojump_clock: object) -> None:
    async with opened(2) as (a, b):
        ids = {(await member.enter()).id: member for member in (a, b, a)}
        await settled()
        seen: list[Any] = []
        path = "/api/clients?limit=1"
        while path:
            _, page = await ask(b, path)
            seen += page["clients"]
            path = f"/api/clients?limit=1&after={page['next']}" if page["next"] else ""
        assert {client["id"]: client["node"] for client in seen} == {
            client: member.cluster.id for client, member in ids.items()
        }
        for client in seen:
            status, shown = await ask(a, f"/api/clients/{client['id']}")
            assert (status, shown["id"], shown["node"]) == (200, client["id"], client["node"])
        status, _ = await ask(a, f"/api/clients/c99-{b.cluster.id}")
        assert status == 404


async def test_connections_to_endpoints_of_ones_own_are_listed_and_ended(
    autojump_clock: object,
) -> None:
    async with opened(2) as (a, b):
        for member in (a, b):
            member.app.websocket("/own/{name}")(stay)
        clients = [TestClient(member.server.open_stream()) for member in (a, b)]
        for client in clients:
            await client.handshake("/own/x")
            assert await client.message() == b"hello"
        (here,), (there,) = a.app.websockets, b.app.websockets
        _, page = await ask(a, "/api/clients")
        paths = {each["id"]: each["path"] for each in page["clients"]}
        assert paths == {here: "/own/x", there: "/own/x"}
        _, info = await ask(a, "/api/info")
        assert info["clients"] == 1
        for client, name in zip(clients, (here, there), strict=True):
            status, shown = await ask(a, f"/api/clients/{name}")
            assert (status, shown["rooms"], shown["waiting_bytes"]) == (200, [], 0)
            status, _ = await ask(a, f"/api/clients/{name}/send", {"event": "e"})
            assert status == 404
            status, _ = await ask(a, f"/api/clients/{name}/disconnect", {"code": 3600})
            assert status == 200
            assert (await client.closing()).code == 3600


async def test_a_room_is_shown_with_its_members_on_all_nodes(autojump_clock: object) -> None:
    async with opened(3) as (a, b, c):
        ids = [(await member.enter("Ana")).id for member in (a, b)]
        await settled()
        for member in (a, c):
            _, room = await ask(member, "/api/rooms/lobby")
            assert (room["count"], room["unanswered"]) == (1, [])
            assert sorted(each["id"] for each in room["members"]) == sorted(ids)
            assert sorted(room["nodes"]) == sorted([a.cluster.id, b.cluster.id])
        assert (await ask(c, "/api/rooms/nowhere"))[0] == 404


async def test_a_client_of_another_node_gets_an_event_and_is_disconnected(
    autojump_clock: object,
) -> None:
    async with opened(2) as (a, b):
        client = await b.enter()
        status, _ = await ask(a, f"/api/clients/{client.id}/send", {"event": "hi", "payload": 7})
        assert status == 200
        assert await client.receive_event("hi") == 7
        status, _ = await ask(a, f"/api/clients/{client.id}/disconnect", {"reason": "bye"})
        assert status == 200
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3503, "bye")
        for action in ("send", "disconnect"):
            path = f"/api/clients/c99-{b.cluster.id}/{action}"
            assert (await ask(a, path, {"event": "hi"}))[0] == 404


async def test_nodes_are_listed_with_what_they_are_like(autojump_clock: object) -> None:
    async with opened(2) as (a, b):
        await b.enter()
        _, answer = await ask(a, "/api/nodes")
        assert answer["unanswered"] == []
        nodes = {node["id"]: node for node in answer["nodes"]}
        assert nodes.keys() == {a.cluster.id, b.cluster.id}
        assert nodes[b.cluster.id]["clients"] == 1
        for node in nodes.values():
            assert node["answered"]
            assert node["uptime"] >= 0
            assert node["lag"] < 1
            assert node["version"]
            assert node["last_seen"] >= node["started_at"]


async def test_a_node_that_does_not_answer_is_named_and_the_rest_is_shown(
    autojump_clock: object,
) -> None:
    async with opened(3) as (a, b, c):
        for member in (a, b, c):
            await member.enter(room="x")
        client = await b.enter()
        await settled()
        b.peers.deaf = True
        silent = [b.cluster.id]
        started = trio.current_time()
        _, page = await ask(a, "/api/clients")
        assert trio.current_time() - started == pytest.approx(ANSWER_SECONDS, abs=0.1)
        assert (len(page["clients"]), page["unanswered"]) == (2, silent)
        _, page = await ask(a, "/api/rooms")
        assert ([room["name"] for room in page["rooms"]], page["unanswered"]) == (["x"], silent)
        _, answer = await ask(a, "/api/nodes")
        assert [node["id"] for node in answer["nodes"] if not node["answered"]] == silent
        assert answer["unanswered"] == silent
        for path in ("", "/send", "/disconnect"):
            body = {"event": "hi"} if path else None
            status, error = await ask(a, f"/api/clients/{client.id}{path}", body)
            assert (status, error["error"]["code"]) == (503, "node_silent")
