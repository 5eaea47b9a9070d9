"""`rooms.serving`: a whole server, from the port to the last goodbye."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from rooms import App, Context
from rooms.brokers.memory import MemoryBroker
from rooms.chat import chat_app
from rooms.config import Settings
from rooms.errors import ConfigError, RoomsError
from rooms.protocol.frames import CLOSE
from rooms.serving import Server, serve
from rooms.testing import Closed, Refused, TestClient

HEALTH = b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\nConnection: close\r\n\r\n"
INFO = b"GET /api/info HTTP/1.1\r\nHost: rooms.test\r\nConnection: close\r\nAuthorization: Bearer "
SECONDS = 10

PUBLIC_KEY = f"-----BEGIN PUBLIC KEY-----\n{'A' * 64}\n-----END PUBLIC KEY-----\n"


async def connect(server: Server) -> TestClient:
    """Return a client that has been greeted."""
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
    await client.handshake()
    await client.welcome()
    return client


async def ask(server: Server, request: bytes) -> bytes:
    """Return the answer to a request."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(request)
        return b"".join([bytes(part) async for part in stream])


class Reasons:
    """The close codes that an application was told."""

    def __init__(self, app: App) -> None:
        self.codes: list[int] = []
        app.on("disconnected")(self.note)

    def note(self, ctx: Context[Any]) -> None:
        assert ctx.reason is not None
        self.codes.append(ctx.reason.code)


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


async def test_the_server_says_where_it_is() -> None:
    async with serve(App(), Settings(port=0)) as server:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert (await ask(server, HEALTH)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")]
)
async def test_the_address_that_is_shown_can_be_opened(host: str, shown: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with serve(App(), Settings(host=host, port=0, http=False)) as server:
        assert server.url == f"http://{shown}:{server.port}"


async def test_a_server_may_have_no_pages() -> None:
    async with serve(App(), Settings(port=0, http=False)) as server:
        assert (await ask(server, HEALTH)).startswith(b"HTTP/1.1 404 ")
        client = await connect(server)
        await client.close()


async def test_a_taken_port_is_told_in_a_sentence(taken: int) -> None:
    with pytest.raises(ConfigError, match=f"Port {taken} on 127.0.0.1 is taken"):
        async with serve(App(), Settings(port=taken)):
            pytest.fail("it runs")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 70000}, "70000 is not a port"),
        ({"host": "203.0.113.1"}, "Cannot listen on 203.0.113.1:0"),
        ({"keyfile": "key.pem"}, "A keyfile needs a certfile"),
        ({"certfile": "no such file"}, "The certificate in no such file cannot be used"),
        ({"certfile": __file__}, "cannot be used"),
        ({"broker_file": "no such file"}, "The broker cannot be read from 'no such"),
        ({"broker_file": "x", "broker": "sqlite:///x"}, "The broker is set twice"),
        ({"admin_token_file": "no such file"}, "The admin token cannot be read from 'no such"),
        ({"gateway_secret": "short"}, "the gateway's secret must have 32 bytes at least"),
        ({"gateway_secret": PUBLIC_KEY}, "is a public key"),
        ({"gateway_secret_file": "no such file"}, "The gateway's secret cannot be read"),
        ({"gateway_secret_file": os.devnull}, "of the gateway's secret, '/dev/null', is empty"),
    ],
)
async def test_what_cannot_be_used_is_told_in_a_sentence(
    changes: dict[str, Any], message: str
) -> None:
    chosen = Settings(**{"port": 0, **changes})
    with pytest.raises(ConfigError, match=message):
        async with serve(App(), chosen):
            pytest.fail("it runs")


async def test_the_brokers_url_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text(f"sqlite:///{tmp_path / 'rooms.db'}\n")
    async with serve(App(), Settings(port=0, broker_file=str(tmp_path / "broker"))):
        assert (tmp_path / "rooms.db").exists()


async def test_a_broker_may_be_ones_own() -> None:
    broker = MemoryBroker()
    wrong = Settings(port=0, http=False, broker="sqlite:///nowhere/at/all.db")
    async with serve(App(), wrong, broker=broker) as server:
        assert server.node.broker is broker


async def test_an_empty_token_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" \n")
    with pytest.raises(ConfigError, match="is empty"):
        async with serve(App(), Settings(port=0, admin_token_file=str(tmp_path / "token"))):
            pytest.fail("it runs")


async def test_the_admin_token_is_given_or_read_or_made(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    for settings, token in (
        (Settings(port=0, admin_token="given"), "given"),
        (Settings(port=0, admin_token_file=str(tmp_path / "token")), "from a file"),
        (Settings(port=0), None),
    ):
        async with serve(App(), settings) as server:
            used = server.settings.admin_token
            assert used == token or (token is None and len(used) >= 32)
            answer = await ask(server, INFO + used.encode() + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_app_is_served_once_at_a_time_and_again_afterwards() -> None:
    app = App()
    async with serve(app, Settings(port=0)):
        with pytest.raises(RoomsError, match="served already"):
            async with serve(app, Settings(port=0)):
                pytest.fail("it runs twice")
    async with serve(app, Settings(port=0)) as server:
        assert (await ask(server, HEALTH)).startswith(b"HTTP/1.1 200 ")


async def test_the_port_is_free_at_once_when_the_server_has_stopped() -> None:
    async with serve(App(), Settings(port=0, grace_seconds=0.1)) as server:
        client = await connect(server)
        port = server.port
    assert (await client.closing()).code == 3001
    await client.stream.aclose()
    async with serve(App(), Settings(port=port)) as server:
        assert server.port == port


async def test_at_the_end_every_client_is_told_that_it_may_come_back() -> None:
    app = chat_app()
    reasons = Reasons(app)
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            said: list[Closed] = []
            async with serve(app, Settings(port=0)) as server:
                for _ in range(20):
                    client = await connect(server)
                    await client.join("lobby")
                    nursery.start_soon(listen, client, said)
    assert {(closed.code, closed.reason) for closed in said} == {
        (3001, "server is shutting down"),
    }
    assert reasons.codes == [3001] * 20


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client trusts a server by, whatever the server's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    authority.configure_trust(context)
    return context


async def listen(client: TestClient, said: list[Closed]) -> None:
    """Take part until the server's goodbye, and hang up."""
    said.append(await client.closing())
    await client.stream.aclose()


async def test_over_tls_they_are_told_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = authority.issue_cert("rooms.test").private_key_and_cert_chain_pem
    pem.write_to_path(tmp_path / "server.pem")
    said: list[Closed] = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            settings = Settings(port=0, certfile=str(tmp_path / "server.pem"))
            async with serve(App(), settings) as server:
                stream = await trio.open_ssl_over_tcp_stream(
                    "127.0.0.1", server.port, ssl_context=trusting(authority), https_compatible=True
                )
                client = TestClient(stream)
                await client.handshake()
                await client.welcome()
                nursery.start_soon(listen, client, said)
    assert [closed.code for closed in said] == [3001]


async def test_a_client_that_does_not_answer_holds_up_the_end_for_the_grace_only() -> None:
    app = App()
    reasons = Reasons(app)
    with trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0, grace_seconds=0.2, close_seconds=3600)) as server:
            client = await connect(server)
        assert (await client.frame()).code == 3001
        await client.stream.aclose()
    assert reasons.codes == [3001]


async def test_a_client_that_was_being_closed_holds_it_up_for_the_grace_only_too() -> None:
    app = App()
    reasons = Reasons(app)
    with trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0, grace_seconds=0.2, close_seconds=3600)) as server:
            client = await connect(server)
            app.clients[client.id].close()
            assert (await client.frame()).opcode == CLOSE
        await client.stream.aclose()
    assert reasons.codes == [3503]


async def test_handlers_that_are_stuck_hold_up_the_end_for_the_grace_only() -> None:
    app, stuck = App(), trio.Event()

    @app.on("stick")
    async def stick(ctx: Context[Any]) -> None:
        stuck.set()
        await trio.sleep_forever()

    @app.on("disconnected")
    async def stick_again(ctx: Context[Any]) -> None:
        await trio.sleep_forever()

    with trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0, grace_seconds=0.2)) as server:
            client = await connect(server)
            await client.send(type="event", event="stick")
            await stuck.wait()
        assert (await client.closing()).code == 3001
        await client.stream.aclose()


async def test_requests_under_way_hold_up_the_end_for_the_grace_only() -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0, grace_seconds=0.2)) as server:
            half = await trio.open_tcp_stream("127.0.0.1", server.port)
            await half.send_all(b"GET /api/health HT")
            idle = await trio.open_tcp_stream("127.0.0.1", server.port)
            await idle.send_all(HEALTH.replace(b"close", b"keep-alive"))
            assert (await idle.receive_some()).startswith(b"HTTP/1.1 200 ")
        for stream in (half, idle):
            await stream.aclose()


async def test_a_stopping_server_takes_no_new_connections() -> None:
    async with serve(App(), Settings(port=0)) as server:
        server.node.draining = True
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
        with pytest.raises(Refused, match="503"):
            await client.handshake()
        await client.stream.aclose()


async def test_what_the_block_raises_comes_out_after_the_goodbyes() -> None:
    app = App()
    reasons = Reasons(app)
    with pytest.RaisesGroup(KeyError, flatten_subgroups=True), trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0, grace_seconds=0.2)) as server:
            client = await connect(server)
            raise KeyError
    assert (await client.closing()).code == 3001
    await client.stream.aclose()
    assert reasons.codes == [3001]


async def test_cancelling_the_block_says_goodbye_as_well() -> None:
    app = App()
    reasons = Reasons(app)
    with trio.CancelScope() as scope, trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0, grace_seconds=0.2, http=False)) as server:
            client = await connect(server)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert (await client.closing()).code == 3001
    await client.stream.aclose()
    assert reasons.codes == [3001]
