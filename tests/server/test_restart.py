"""A server over real sockets that is drained, replaced, or given new settings."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from rooms import App
from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.server.reload import Changes
from rooms.server.sockets import open_socket
from rooms.serving import Server, serve
from rooms.testing import Refused, TestClient

HEALTH = b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\n\r\n"
SECONDS = 30  # only so that nothing hangs
WAITING = 100


def queue_up(port: int, count: int = WAITING) -> list[socket.socket]:
    """Connect and send a request each, all before the server can accept any of them."""
    waiting = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.send(HEALTH)
        waiting.append(sock)
    return waiting


async def answer(sock: socket.socket) -> bytes:
    """Return the beginning of what a client is answered."""
    async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as stream:
        return bytes(await stream.receive_some())


async def connect(port: int) -> TestClient:
    """Return a client that has been greeted."""
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.handshake()
    await client.welcome()
    return client


async def info(server: Server, token: str) -> int:
    """Return the status of a request that needs the token."""
    request = f"GET /api/info HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(request.encode())
        return int((await stream.receive_some()).split(b" ")[1])


# Taking over.


@pytest.mark.parametrize("shared", [False, True])
async def test_who_waits_to_be_accepted_when_a_server_is_drained_is_answered(shared: bool) -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0, reuse_port=shared)) as server:
            waiting = queue_up(server.port)
            await server.drain()
        for sock in waiting:
            assert (await answer(sock)).startswith(b"HTTP/1.1 200 ")


async def test_a_websocket_that_waits_then_is_told_to_come_back() -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0)) as server:
            sock = socket.create_connection(("127.0.0.1", server.port))
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            client = TestClient(stream)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.drain)
                with pytest.raises(Refused, match="503") as refused:
                    await client.handshake()
            assert b"\r\nretry-after: " in refused.value.answer.lower()
            await stream.aclose()


async def test_who_waits_at_a_socket_that_others_have_too_is_left_to_them() -> None:
    with open_socket("127.0.0.1", 0) as held, trio.fail_after(SECONDS):
        async with serve(App(), Settings(), sock=held.dup()) as server:
            port = held.getsockname()[1]
            assert server.url == f"http://127.0.0.1:{port}"
            server.listener.stop()
            await server.listener.closed.wait()
            waiting = queue_up(port)
        async with serve(App(), Settings(), sock=held.dup()):
            for sock in waiting:
                assert (await answer(sock)).startswith(b"HTTP/1.1 200 ")


async def test_two_servers_share_a_port_and_the_last_one_gets_everybody() -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0, reuse_port=True)) as old:
            client = await connect(old.port)
            async with serve(App(), Settings(port=old.port, reuse_port=True)) as new:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(old.drain)
                    closed = await client.closing()
                    await client.stream.aclose()
                for _ in range(20):
                    again = await connect(old.port)
                    await again.close()
                assert old.node.sessions == {}
                assert new.node.draining is False
    assert closed.reason == "server restarts, retry after 0.01 s"


async def test_a_brokers_file_goes_from_one_server_to_the_next(tmp_path: Path) -> None:
    broker = f"sqlite:///{tmp_path / 'rooms.db'}"
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            settings = Settings(port=0, reuse_port=True, broker=broker)
            async with serve(App(relay=True), settings) as old:
                client = await connect(old.port)
                await client.join("lobby")
                await client.event("say", "lobby", 1)
                following = Settings(port=old.port, reuse_port=True, broker=broker)
                nursery.start_soon(succeed, following)
                nursery.start_soon(old.drain)
                assert (await client.closing()).code == 3001
                await client.stream.aclose()


async def succeed(settings: Settings) -> None:
    """Take over, and see that what was said is known."""
    async with serve(App(relay=True), settings) as server:
        client = await connect(server.port)
        await client.join("lobby")
        page = await client.request(type="history", room="lobby")
        assert [each["payload"] for each in page["publications"]] == [1]
        await client.close()


# New settings.


async def test_a_limit_and_the_token_hold_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    settings = Settings(port=0, admin_token_file=str(token))
    with trio.fail_after(SECONDS):
        async with serve(App(), settings) as server:
            client = await connect(server.port)
            token.write_text("new")
            wanted = Settings(port=0, admin_token_file=str(token), rooms_per_client=1)
            changes = server.reload(wanted)
            assert changes == Changes(["admin_token", "rooms_per_client"], [], [])
            assert [await info(server, "old"), await info(server, "new")] == [401, 200]
            await client.join("one")
            assert (await client.join("two"))["code"] == "limit_exceeded"
            await client.close()


async def test_a_token_that_was_made_stays() -> None:
    async with serve(App(), Settings(port=0)) as server:
        before = server.settings.admin_token
        assert server.reload(Settings(port=0)) == Changes([], [], [])
        assert server.settings.admin_token == before


def issue(authority: trustme.CA, path: Path) -> None:
    """Write a new certificate with its key."""
    authority.issue_cert("rooms.test").private_key_and_cert_chain_pem.write_to_path(path)


async def certificate(port: int) -> bytes | None:
    """Return the certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", port, ssl_context=context, https_compatible=True
    )
    async with stream:
        await stream.do_handshake()
        shown: bytes | None = stream.getpeercert(binary_form=True)
        return shown


async def test_a_certificate_is_read_anew_for_new_connections(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "server.pem"
    issue(authority, file)
    settings = Settings(port=0, certfile=str(file))
    with trio.fail_after(SECONDS):
        async with serve(App(), settings) as server:
            first = await certificate(server.port)
            issue(authority, file)
            assert server.reload(settings) == Changes([], [], [])
            assert await certificate(server.port) != first


async def test_a_mistake_changes_nothing(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "server.pem"
    issue(authority, file)
    settings = Settings(port=0, certfile=str(file))
    with trio.fail_after(SECONDS):
        async with serve(App(), settings) as server:
            before, first = server.settings, await certificate(server.port)
            file.write_text("half a certificate")
            with pytest.raises(ConfigError, match="cannot be used"):
                server.reload(Settings(port=0, certfile=str(file), rooms_per_client=1))
            assert server.settings == before
            issue(authority, file)
            with pytest.raises(ConfigError, match="trusted_proxies"):
                server.reload(Settings(port=0, certfile=str(file), trusted_proxies=("nowhere",)))
            assert server.settings == before
            assert await certificate(server.port) == first
