"""A server behind proxies: whom it believes, and whom it shows, limits and logs."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from rooms import App, Settings
from rooms.protocol.proxy import V2_SIGNATURE
from rooms.serving import Server, serve
from rooms.testing import Refused, TestClient
from rooms.testing.client import REQUEST

SECONDS = 20
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4000 443\r\n"
V2 = (
    V2_SIGNATURE
    + b"\x21\x11\x00\x0c"
    + socket.inet_aton("203.0.113.7")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 4000, 443)
)
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\nConnection: close\r\n\r\n"
SPOOFED = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"


@asynccontextmanager
async def behind(*proxies: str, **settings: Any) -> AsyncIterator[Server]:
    """Serve an app that trusts ``proxies``."""
    chosen = Settings(port=0, trusted_proxies=proxies, **settings)
    with trio.fail_after(SECONDS):
        async with serve(App(), chosen) as server:
            yield server


async def remote(server: Server, headers: str = "", start: bytes = b"") -> str:
    """Return from where a new client is said to come."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        client = TestClient(stream)
        await client.send_raw(start)
        await client.handshake(headers=headers)
        await client.welcome()
        shown = server.node.clients[client.id].remote
        await client.close()
        return shown


async def ask(server: Server, request: bytes) -> bytes:
    """Return the answer to a request."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(request)
        return b"".join([bytes(part) async for part in stream])


# The headers.


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",)])
async def test_what_strangers_claim_is_not_believed(proxies: tuple[str, ...]) -> None:
    async with behind(*proxies) as server:
        assert (await remote(server, SPOOFED)).startswith("127.0.0.1:")


async def test_a_trusted_proxy_says_who_the_client_is() -> None:
    async with behind("127.0.0.1") as server:
        assert await remote(server, f"{SPOOFED}X-Forwarded-For: 203.0.113.7\r\n") == "203.0.113.7"
        assert (await remote(server)).startswith("127.0.0.1:")


async def test_it_may_do_so_in_the_standard_header() -> None:
    async with behind("127.0.0.1", forwarded_header="forwarded") as server:
        header = 'X-Forwarded-For: 6.6.6.6\r\nForwarded: for="[2001:db8::7]:80";proto=https\r\n'
        assert await remote(server, header) == "[2001:db8::7]:80"


# The PROXY protocol.


@pytest.mark.parametrize("start", [V1, V2])
async def test_a_trusted_proxy_says_so_before_anything_else(start: bytes) -> None:
    async with behind("127.0.0.1", proxy_protocol=True) as server:
        assert await remote(server, SPOOFED, start) == "203.0.113.7:4000"
        assert (await ask(server, start + HEALTH)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("start", [b"PROXY UNKNOWN\r\n", V2_SIGNATURE + b"\x20\x00\x00\x00"])
async def test_a_proxy_may_come_for_itself(start: bytes) -> None:
    async with behind("127.0.0.1", proxy_protocol=True) as server:
        assert (await remote(server, start=start)).startswith("127.0.0.1:")


@pytest.mark.parametrize("start", [V1, V2])
async def test_it_may_say_so_byte_by_byte(start: bytes) -> None:
    request = REQUEST.format(path="/ws", headers="").encode()
    async with behind("127.0.0.1", proxy_protocol=True) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        for byte in start + request:
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        await stream.aclose()


@pytest.mark.parametrize("start", [b"", b"PROXY nonsense\r\n", V2_SIGNATURE + b"\x99" * 20])
async def test_without_that_a_connection_from_it_is_closed(start: bytes) -> None:
    async with behind("127.0.0.1", proxy_protocol=True) as server:
        assert await ask(server, start + HEALTH) == b""
        assert server.node.counters.get("refusals", "proxy_protocol") == 1


async def test_nobody_else_is_to_say_so() -> None:
    async with behind("10.0.0.1", proxy_protocol=True) as server:
        assert (await remote(server)).startswith("127.0.0.1:")
        assert (await ask(server, V1 + HEALTH)).startswith(b"HTTP/1.1 400 ")
        assert await ask(server, V2 + HEALTH) == b""


async def test_a_proxy_behind_a_proxy_is_believed_as_well() -> None:
    start = V1.replace(b"203.0.113.7", b"10.0.0.2")
    async with behind("127.0.0.1", "10.0.0.2", proxy_protocol=True) as server:
        assert await remote(server, "X-Forwarded-For: 203.0.113.7\r\n", start) == "203.0.113.7"


async def test_its_header_comes_before_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = authority.issue_cert("rooms.test").private_key_and_cert_chain_pem
    pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    certfile = str(tmp_path / "server.pem")
    async with behind("127.0.0.1", proxy_protocol=True, certfile=certfile) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(V2)
        client = TestClient(trio.SSLStream(stream, context, server_hostname="rooms.test"))
        await client.handshake()
        await client.welcome()
        assert server.node.clients[client.id].remote == "203.0.113.7:4000"
        await client.close()


async def test_the_clients_address_is_the_one_that_is_limited() -> None:
    async with behind("127.0.0.1", proxy_protocol=True, connections_per_address=1) as server:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
        await client.send_raw(V1)
        await client.handshake()
        with pytest.raises(Refused, match="429"):
            await remote(server, start=V2)
        other = V1.replace(b"203.0.113.7", b"203.0.113.8")
        assert await remote(server, start=other) == "203.0.113.8:4000"
        await client.stream.aclose()
