"""A port, or a Unix socket, for admins alone, and what is left of them on the other."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from rooms import App, Settings
from rooms.errors import ConfigError
from rooms.serving import Server, serve
from rooms.testing import TestClient
from rooms.testing.client import REQUEST

TOKEN = "a token that opens"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a Unix socket can be: their names must be short."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "admin.sock"


@asynccontextmanager
async def served(bind: str, **settings: Any) -> AsyncIterator[Server]:
    chosen = Settings(port=0, admin_token=TOKEN, admin_bind=bind, **settings)
    with trio.fail_after(20):
        async with serve(App(), chosen) as server:
            yield server


def asker(server: Server, path: Path | None = None) -> httpx.AsyncClient:
    """Return a client of the admin port, or of the Unix socket at ``path``."""
    if path is None:
        return httpx.AsyncClient(base_url=server.admin_url, headers=BEARER)
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(base_url="http://rooms.test", headers=BEARER, transport=transport)


async def test_admins_are_answered_on_their_port_alone() -> None:
    async with served("127.0.0.1:0") as server, asker(server) as admin:
        public = httpx.AsyncClient(base_url=server.url, headers=BEARER)
        async with public:
            for path in ("/api/info", "/api/rooms", "/api/session", "/api/openapi.json"):
                assert (await admin.get(path)).status_code == 200
                assert (await public.get(path)).status_code == 404
            assert (await admin.get("/metrics")).status_code == 200
            assert (await public.get("/metrics")).status_code == 404
            assert (await public.post("/api/clients/c1/disconnect")).status_code == 404
            ticket = await public.post("/api/tickets", json={})
            assert "Nobody signs in here" in ticket.json()["error"]["message"]
            for path in ("/api/health", "/api/ready", "/static/rooms.js"):
                assert (await admin.get(path)).status_code == 200
                assert (await public.get(path)).status_code == 200
        assert (await admin.get("/api/info", headers={"Authorization": ""})).status_code == 401


async def test_clients_do_not_get_in_where_admins_are() -> None:
    async with served("127.0.0.1:0") as server:
        port = int(server.admin_url.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(REQUEST.format(path="/ws", headers="").encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 404 ")


async def test_admins_get_in_when_the_server_is_full_of_clients() -> None:
    async with served("127.0.0.1:0", connections=1) as server, asker(server) as admin:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
        await client.handshake()
        await client.welcome()
        assert (await admin.get("/api/info")).json()["connections"] == 1
        await client.close()
        await client.stream.aclose()


async def test_a_unix_socket_is_for_its_owner_alone_and_gone_at_the_end(path: Path) -> None:
    async with served(f"unix:{path}") as server, asker(server, path) as admin:
        assert mode_of(path) == 0o600
        assert server.admin_url == f"unix:{path}"
        assert (await admin.get("/api/info")).status_code == 200
        assert (await admin.get("/metrics")).status_code == 200
        wrong = await admin.get("/api/info", headers={"Authorization": "Bearer wrong"})
        assert wrong.status_code == 401
        assert left(path) == [path.name]
    assert left(path) == []


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> str:
    return path.read_text()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left(path: Path) -> list[str]:
    """Return what there is where the socket was."""
    return os.listdir(path.parent)


def stale_socket(path: Path) -> None:
    """Leave a socket that nobody listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))


async def test_what_a_dead_server_left_is_replaced(path: Path) -> None:
    stale_socket(path)
    async with served(f"unix:{path}") as server, asker(server, path) as admin:
        assert (await admin.get("/api/info")).status_code == 200


async def test_a_server_that_lives_is_not_replaced_unless_it_is_to_be(path: Path) -> None:
    async with served(f"unix:{path}"):
        with pytest.raises(ConfigError, match="Another server listens"):
            async with served(f"unix:{path}"):
                pytest.fail("it runs")
        async with served(f"unix:{path}", reuse_port=True) as server, asker(server, path) as admin:
            assert (await admin.get("/api/info")).status_code == 200
    assert left(path) == []


async def test_the_old_server_leaves_the_socket_of_the_new_one_alone(path: Path) -> None:
    old = served(f"unix:{path}", reuse_port=True)
    await old.__aenter__()
    new = served(f"unix:{path}", reuse_port=True)
    server = await new.__aenter__()
    await new.__aexit__(None, None, None)
    assert server.admin_url == f"unix:{path}"
    await old.__aexit__(None, None, None)
    assert left(path) == []


async def test_a_file_in_the_way_is_not_touched(path: Path) -> None:
    write(path, "mine")
    with pytest.raises(ConfigError, match="is no socket"):
        async with served(f"unix:{path}"):
            pytest.fail("it runs")
    assert read(path) == "mine"


@pytest.mark.parametrize(
    ("bind", "more", "complaint"),
    [
        ("nonsense", {}, "is no address"),
        ("127.0.0.1:many", {}, "is no address"),
        ("127.0.0.1:99999", {}, "is not a port"),
        ("unix:", {}, "'unix:' is no address"),
        ("unix:/nowhere/at/all/admin.sock", {}, "Cannot listen on unix:/nowhere"),
        ("unix:" + "x" * 200, {}, "Cannot listen on unix:"),
        ("127.0.0.1:0", {"http": False}, "needs http"),
        ("unix:admin.sock", {"workers": 2, "broker": "memory://"}, "Several workers"),
    ],
)
async def test_what_cannot_be_listened_on_is_told(
    bind: str, more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        async with served(bind, **more):
            pytest.fail("it runs")


async def test_websockets_have_a_second_port_without_pages() -> None:
    settings = Settings(port=0, ws_bind="127.0.0.1:0")
    with trio.fail_after(20):
        async with serve(App(relay=True), settings) as server:
            assert server.websocket_port != server.port
            first = await websocket(await trio.open_tcp_stream("127.0.0.1", server.port))
            second = await websocket(await trio.open_tcp_stream("127.0.0.1", server.websocket_port))
            for client in (first, second):
                await client.join("r")
            await first.event("hello", "r")
            await second.receive_event("hello")
            async with httpx.AsyncClient() as web:
                answer = await web.get(f"http://127.0.0.1:{server.websocket_port}/")
                assert answer.status_code == 404
            await first.close()
            await second.close()


async def test_a_proxy_on_a_unix_socket_says_who_the_client_is(path: Path) -> None:
    settings = Settings(port=0, ws_bind=f"unix:{path}", trusted_proxies=("unix",))
    app = App()
    with trio.fail_after(20):
        async with serve(app, settings) as server:
            assert server.websocket_url == f"unix:{path}"
            assert stat.S_IMODE((await trio.Path(path).stat()).st_mode) == 0o660
            stream = await trio.open_unix_socket(path)
            client = await websocket(stream, "X-Forwarded-For: 203.0.113.7\r\n")
            (known,) = app.clients.values()
            assert known.remote == "203.0.113.7"
            await client.close()
        assert not await trio.Path(path).exists()


async def test_what_is_no_address_for_websockets_is_named() -> None:
    with pytest.raises(ConfigError, match="ws_bind 'x' is no address"):
        async with serve(App(), Settings(port=0, ws_bind="x")):
            pass


async def websocket(stream: trio.abc.Stream, headers: str = "") -> TestClient:
    """A client that has been greeted."""
    client = TestClient(stream)
    await client.handshake(headers=headers)
    await client.welcome()
    return client
