"""The site of a real server, over real sockets."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from rooms.config import Settings
from rooms.server.app import App
from rooms.serving import Server, serve

TOKEN = "a token that opens"


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    chosen = Settings(port=0, admin_token=TOKEN, **settings)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        serve(App(relay=True, guests=True), chosen, chat_page=True) as server,
        httpx.AsyncClient(base_url=server.url, headers=headers) as client,
    ):
        yield server, client


async def request(socket: WebSocketConnection, **command: Any) -> dict[str, Any]:
    """Send a command and return its reply; what comes before it is passed over."""
    await socket.send_message(json.dumps({**command, "id": 1}))
    while True:
        frame: dict[str, Any] = json.loads(await socket.get_message())
        if frame.get("id") == 1:
            return frame


@asynccontextmanager
async def ana(server: Server) -> AsyncIterator[WebSocketConnection]:
    """Ana's connection, in the room ``team/1``."""
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, stream, "127.0.0.1", "/ws")
        await request(socket, type="auth", name="Ana", secret="s" * 20)
        await request(socket, type="join", room="team/1")
        yield socket
        nursery.cancel_scope.cancel()


async def next_event(socket: WebSocketConnection) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(await socket.get_message())
        if frame["type"] == "event":
            return frame


async def test_the_page_and_what_it_loads_are_served() -> None:
    async with served() as (_, client):
        page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        script = await client.get("/static/rooms.js")
        again = await client.get(
            "/static/rooms.js", headers={"If-None-Match": script.headers["ETag"]}
        )
        assert (script.status_code, again.status_code) == (200, 304)


async def test_a_client_is_seen_in_its_room() -> None:
    async with served() as (server, client), ana(server):
        listed = (await client.get("/api/rooms", params={"filter": "team/#"})).json()
        assert [(room["name"], room["count"]) for room in listed["rooms"]] == [("team/1", 1)]
        room = (await client.get("/api/rooms/team%2F1")).json()
        [member] = room["members"]
        assert member["user"] == {"id": "Ana", "name": "Ana"}
        assert member["rooms"] == ["team/1"]
        assert (await client.get(f"/api/clients/{member['id']}")).json() == member
        assert (await client.get("/api/clients")).json()["clients"] == [member]


async def test_what_is_published_and_sent_reaches_the_client() -> None:
    async with served() as (server, client), ana(server) as socket:
        order = {"event": "notice", "payload": {"text": "hi"}}
        answer = await client.post("/api/rooms/team/1/publish", json=order)
        event = await next_event(socket)
        assert (event["event"], event["payload"]) == ("notice", {"text": "hi"})
        assert event["position"] == answer.json()["position"]
        await client.post("/api/clients/c1/send", json={"event": "only-you"})
        assert (await next_event(socket))["event"] == "only-you"


async def test_a_disconnected_client_gets_its_code_and_is_gone() -> None:
    async with served() as (server, client):
        async with ana(server) as socket:
            answer = await client.post("/api/clients/c1/disconnect", json={"code": 4001})
            assert answer.status_code == 200
            with pytest.raises(ConnectionClosed) as ending:
                await next_event(socket)
            assert ending.value.reason is not None
            assert ending.value.reason.code == 4001
        with trio.fail_after(5):
            while (await client.get("/api/clients/c1")).status_code != 404:
                await trio.lowlevel.checkpoint()
        assert (await client.get("/api/rooms")).json()["rooms"] == []


async def test_nesting_at_every_depth_has_an_answer_that_is_not_500() -> None:
    async with served() as (_, client):
        for depth in range(700, 1000, 3):
            body = '{"event": "e", "payload": ' + "[" * depth + "]" * depth + "}"
            answer = await client.post(
                "/api/rooms/a/publish", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in (200, 400)


async def test_pages_come_over_tls_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certfile)
    issued.private_key_pem.write_to_path(keyfile)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    settings = Settings(port=0, certfile=str(certfile), keyfile=str(keyfile))
    async with (
        serve(App(), settings) as server,
        httpx.AsyncClient(base_url=server.url, verify=context, http2=False) as client,
    ):
        for _ in range(2):
            answer = await client.get("/api/health")
            assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
        big = await client.post("/api/health", content=bytes(2_000_000))
        assert big.status_code == 405
