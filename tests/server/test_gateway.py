"""`Gateway`: connections that are passed on to another server."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
import trio
import trio.testing
import trustme
from msgspec.structs import replace

from rooms import App, Credentials, Disconnect, Gateway, Identity, User, WebSocket, serve
from rooms.config import Settings
from rooms.protocol.frames import BINARY, CONTINUATION, TEXT
from rooms.server.node import Node
from rooms.testing import (
    MemoryServer,
    Refused,
    TestClient,
    client_close,
    client_frame,
    in_memory,
)

SECRET = "a secret of the gateway and its upstream"
QUICK = Settings(
    port=0, http=False, close_seconds=1, disconnected_seconds=1, rate_bytes=0, rate_messages=0
)


class Upstream:
    """Another server, and how its connections ended."""

    def __init__(self) -> None:
        self.app = App(dialects=[])
        self.ends: list[tuple[int, str]] = []
        self.port = 0
        for path, handler in (
            ("/echo", self.echo),
            ("/close", self.close),
            ("/tell/{+rest}", self.tell),
            ("/flood", self.flood),
        ):
            self.app.websocket(path, subprotocols=["soup"])(handler)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def echo(self, ws: WebSocket) -> None:
        try:
            while True:
                await ws.send(await ws.receive())
        except Disconnect as end:
            self.ends.append((end.code, end.reason))

    async def close(self, ws: WebSocket) -> None:
        await ws.close(4123, "for a reason")

    async def tell(self, ws: WebSocket) -> None:
        told = {"path": ws.path, "query": ws.query, **ws.headers}
        await ws.send(json.dumps(told))
        await self.echo(ws)

    async def flood(self, ws: WebSocket) -> None:
        self.flooded = 0
        try:
            while True:
                await ws.send(b"x" * 65536)
                self.flooded += 65536
        except Disconnect as end:
            self.ends.append((end.code, end.reason))


@asynccontextmanager
async def upstream(settings: Settings = QUICK) -> AsyncIterator[Upstream]:
    """Serve another server while the block runs."""
    other = Upstream()
    async with serve(other.app, settings) as server:
        other.port = server.port
        yield other


class Front:
    """A gateway, and what is needed to connect to it."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server

    @property
    def node(self) -> Node:
        return self.server.node

    async def connect(self, path: str = "/here", headers: str = "") -> TestClient:
        """Return a client of the gateway."""
        client = TestClient(self.server.open_stream())
        await client.handshake(path, headers)
        return client


@asynccontextmanager
async def gateway(
    *handlers: tuple[str, Gateway], app: App | None = None, **settings: Any
) -> AsyncIterator[Front]:
    """Serve gateways over memory streams while the block runs."""
    app = app or App()
    for path, handler in handlers:
        app.websocket(path)(handler)
    async with in_memory(app, replace(QUICK, **settings)) as server:
        yield Front(server)


async def refused(front: Front, path: str = "/here") -> tuple[int, bytes]:
    """Return how a request is refused."""
    with pytest.raises(Refused) as caught:
        await front.connect(path)
    return caught.value.status, caught.value.answer


@pytest.mark.parametrize(
    "frames",
    [
        client_frame("text"),
        client_frame(b"\x00\xff", BINARY),
        client_frame("", TEXT),
        client_frame("in ", fin=False) + client_frame("fragments", CONTINUATION),
        client_frame("ñ"[:1].encode()[:1], fin=False)
        + client_frame("ñ".encode()[1:], CONTINUATION),
    ],
)
async def test_messages_come_back_as_they_were(frames: bytes) -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/echo"))) as front:
        client = await front.connect()
        await client.send_raw(frames)
        first = await client.frame()
        assert first.opcode == frames[0] & 0xF
        payload = first.payload
        expected = {b"t": b"text", b"i": b"in fragments", b"\x00": b"\x00\xff", b"": b""}
        assert payload == expected.get(payload[:1], "ñ".encode())


async def test_code_and_reason_of_the_upstream_reach_the_client() -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/close"))) as front:
        closed = await (await front.connect()).closing()
        assert (closed.code, closed.reason) == (4123, "for a reason")


@pytest.mark.parametrize(("code", "reason"), [(4001, "done here"), (1000, ""), (None, "")])
async def test_code_and_reason_of_the_client_reach_the_upstream(
    code: int | None, reason: str
) -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/echo"))) as front:
        client = await front.connect()
        await client.send_raw(client_frame("last words") + client_close(code, reason))
        await client.closing()
        await other.app.node.idle()
        assert other.ends == [(code or 1005, reason)]


async def test_a_client_that_vanishes_leaves_nothing_behind() -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/echo"))) as front:
        await trio.testing.wait_all_tasks_blocked()
        before = tasks()
        client = await front.connect()
        await trio.aclose_forcefully(client.stream)
        with trio.fail_after(5):
            await front.node.idle()
            await other.app.node.idle()
        assert other.ends == [(1001, "")]
        await trio.testing.wait_all_tasks_blocked()
        assert tasks() <= before


@pytest.mark.parametrize("killed", ["clients", "upstream"])
async def test_of_many_connections_nothing_is_left_whoever_is_killed(killed: str) -> None:
    number = int(os.environ.get("ROOMS_TEST_GATEWAY_CONNECTIONS", "20"))
    async with gateway() as front:
        async with fake(ACCEPTS, stay=True) as url:
            front.node.app.websocket("/here")(Gateway(url))
            await trio.testing.wait_all_tasks_blocked()
            before = tasks()
            clients = [await front.connect() for _ in range(number)]
            assert len(front.node.connections) == number
            if killed == "clients":
                await hang_up(clients)
                with trio.fail_after(5):
                    await front.node.idle()
        if killed == "upstream":
            assert {(await client.closing()).code for client in clients} == {1014}
            await hang_up(clients)
        with trio.fail_after(5):
            await front.node.idle()
        await trio.testing.wait_all_tasks_blocked()
        assert tasks() <= before


async def hang_up(clients: list[TestClient]) -> None:
    """Have clients be gone without a goodbye."""
    for client in clients:
        await trio.aclose_forcefully(client.stream)


def tasks() -> int:
    """Return how many tasks there are."""
    return trio.lowlevel.current_statistics().tasks_living


async def test_an_upstream_that_dies_is_told_to_the_client() -> None:
    async with fake(ACCEPTS) as url, gateway(("/here", Gateway(url))) as front:
        client = await front.connect()
        closed = await client.closing()
        await trio.aclose_forcefully(client.stream)
        assert closed.code == 1014
        with trio.fail_after(5):
            await front.node.idle()


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        (b"", "connection lost"),
        (b"\xc1\x00", "reserved bit set without an extension"),  # compressed
        (b"\x81\x80mask", "frame masked"),
    ],
)
async def test_it_is_logged_what_an_upstream_did_that_is_lost(
    frames: bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with fake(ACCEPTS, frames) as url, gateway(("/here", Gateway(url))) as front:
        client = await front.connect()
        assert (await client.closing()).code == 1014
        await trio.aclose_forcefully(client.stream)
        with trio.fail_after(5):
            await front.node.idle()
    assert f"problem='{problem}' upstream={url}" in capsys.readouterr().out


async def test_a_subprotocol_that_the_upstream_selects_is_selected() -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/echo"))) as front:
        client = TestClient(front.server.open_stream())
        head = await client.handshake("/here", "Sec-WebSocket-Protocol: fish, soup\r\n")
        assert "Sec-WebSocket-Protocol: soup" in head
        assert "Sec-WebSocket-Protocol" not in await TestClient(
            front.server.open_stream()
        ).handshake("/here", "Sec-WebSocket-Protocol: fish\r\n")


async def test_the_upstream_is_told_who_asks_for_what() -> None:
    async with upstream() as other:
        way = Gateway(
            f"{other.url}/tell/{{room}}/{{+rest}}?kind=a&{{query}}",
            headers=["user-agent", "cookie"],
            secret=SECRET,
        )
        app = App()

        @app.authenticate
        def check(credentials: Credentials) -> Identity | None:
            return Identity(user=User("u7", "Ana"))

        async with gateway(("/in/{room}/{+rest}", way), app=app) as front:
            headers = "User-Agent: me\r\nCookie: a=b\r\nX-Rooms-User: forged\r\nX-Other: no\r\n"
            headers += "X-Forwarded-For: 9.9.9.9\r\n"
            client = await front.connect("/in/a%2Fb/c/d%3F?x=%C3%A9", headers)
            told = json.loads(await client.message())
    assert (told["path"], told["query"]) == ("/tell/a/b/c/d?", "kind=a&x=%C3%A9")
    assert (told["user-agent"], told["cookie"]) == ("me", "a=b")
    assert (told["x-forwarded-for"], told["x-forwarded-host"]) == ("memory", "rooms.test")
    assert "x-other" not in told
    claims = jwt.decode(told["x-rooms-user"], SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["name"]) == ("u7", "Ana")


@pytest.mark.parametrize("path", ["/in/a/%2E%2E/b", "/in/a/../b", "/in/a%2F..%2Fb"])
async def test_a_parameter_leads_nowhere_else(path: str) -> None:
    async with upstream() as other:
        way = Gateway(f"{other.url}/tell/{{+rest}}")
        async with gateway(("/in/{+rest}", way)) as front:
            assert (await refused(front, path))[0] == 400


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/in/a%2Fb/c", "/a%2Fb/c?in=a%2Fb/c"),
        ("/in/%7e~%41:@", "/%7e~%41:@?in=%7e~%41%3A%40"),
        ("/%69n/a%2Fb", "/a%2Fb?in=a%2Fb"),
        ("/in/a&b=c", "/a&b=c?in=a%26b%3Dc"),
        ("/in/a%26b+c", "/a%26b+c?in=a%26b%2Bc"),
        ('/in/"#', "/%22%23?in=%22%23"),
        ("/in/é", "/%C3%A9?in=%C3%A9"),
    ],
)
async def test_a_path_is_passed_on_as_it_came(path: str, target: str) -> None:
    asked: list[bytes] = []
    async with fake(ACCEPTS, asked=asked) as url:
        way = Gateway(f"{url}{{+rest}}?in={{+rest}}")
        async with gateway(("/in/{+rest}", way)) as front:
            await front.connect(path)
    assert asked[0].split(b" ")[1].decode() == target


async def test_nothing_is_said_of_users_without_a_secret(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    for settings, told_of in ({}, False), ({"gateway_secret_file": str(tmp_path / "secret")}, True):
        app = App()
        app.authenticate(lambda credentials: User("u7", "Ana"))
        async with upstream() as other:
            way = Gateway(f"{other.url}/tell/x")
            async with gateway(("/here", way), app=app, **settings) as front:
                told = json.loads(await (await front.connect()).message())
        assert ("x-rooms-user" in told) is told_of


# An upstream that is not there.

ACCEPTS = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"


@asynccontextmanager
async def fake(
    answer: bytes | None,
    behind: bytes = b"",
    *,
    stay: bool = False,
    asked: list[bytes] | None = None,
) -> AsyncIterator[str]:
    """Listen as something that answers so, or never; a 101 is made a right one.

    Args:
        behind: What it sends after a 101.
        stay: Whether it keeps connections that it has answered, until the block ends.
        asked: Gets the requests.
    """
    from rooms.protocol.handshake import accept_key

    async def handle(stream: trio.SocketStream) -> None:
        request = bytes(await stream.receive_some())
        if asked is not None:
            asked.append(request)
        if answer is None:
            await trio.sleep_forever()
            return
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
        accept = f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        await stream.send_all(answer + (accept.encode() + behind if b" 101 " in answer else b""))
        if stay:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


async def test_an_upstream_that_is_not_there_is_a_bad_gateway_and_not_ready() -> None:
    async with fake(None) as url:
        pass
    way = Gateway(url)
    async with gateway(("/here", way)) as front:
        status, answer = await refused(front)
        assert (status, b'"bad_gateway"' in answer) == (502, True)
        assert front.node.counters.get("refusals", "bad_gateway") == 1
        problem = await front.node.app.routes.problem()
        assert problem is not None
        assert problem.startswith("the upstream of /here is away: it cannot be reached")


async def test_no_log_shows_the_query_of_an_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        fake(b"HTTP/1.1 403 Forbidden\r\n\r\n") as url,
        gateway(("/here", Gateway(f"{url}?token=hush"))) as front,
    ):
        await refused(front)
    shown = capsys.readouterr().out
    assert (f"upstream={url}?…" in shown, "hush" in shown) == (True, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 101 X\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: unasked\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: x\r\n",
        b"SSH-2.0-hello\r\n\r\n",
        b"",
    ],
)
async def test_an_upstream_that_does_not_accept_is_a_bad_gateway_and_lives(answer: bytes) -> None:
    async with fake(answer) as url, gateway(("/here", Gateway(url))) as front:
        assert (await refused(front))[0] == 502
        assert await front.node.app.routes.problem() is None


async def test_an_upstream_that_does_not_answer_in_time_is_a_timeout() -> None:
    async with (
        fake(None) as url,
        gateway(("/here", Gateway(url, connect_seconds=0.05))) as front,
    ):
        status, answer = await refused(front)
        assert (status, b'"gateway_timeout"' in answer) == (504, True)
        assert await front.node.app.routes.problem() is not None


async def test_readiness_asks_an_upstream_that_nobody_has_asked_for() -> None:
    async with upstream() as other, gateway(("/here", Gateway(f"{other.url}/echo"))) as front:
        assert await front.node.app.routes.problem() is None


# One end that is slow.


async def test_a_client_that_does_not_read_slows_down_the_upstream() -> None:
    app = App()
    async with upstream() as other:
        app.websocket("/here")(Gateway(f"{other.url}/flood"))
        async with app.running(QUICK) as node, trio.open_nursery() as nursery:
            from rooms.server.door import Door

            ours, theirs = trio.testing.lockstep_stream_pair()
            nursery.start_soon(Door(node).serve_stream, theirs, "nowhere")
            client = TestClient(ours)
            await client.handshake("/here")
            before = -1
            while before != other.flooded:
                before = other.flooded
                await trio.testing.wait_all_tasks_blocked(0.2)
            assert other.flooded < 16 * 1024 * 1024  # what the kernel holds between them
            await trio.aclose_forcefully(ours)
            with trio.fail_after(5):
                await node.idle()
                await other.app.node.idle()


# TLS.


async def test_an_upstream_may_speak_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    file = tmp_path / "cert.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with upstream(replace(QUICK, certfile=str(file))) as other:
        url = f"wss://127.0.0.1:{other.port}/echo"
        ways = ("/here", Gateway(url, tls=trusted)), ("/doubted", Gateway(url))
        async with gateway(*ways) as front:
            client = await front.connect()
            await client.send_raw(client_frame("secret"))
            assert await client.message() == b"secret"
            await client.close(4000)
            assert (await refused(front, "/doubted"))[0] == 502
        await other.app.node.idle()
        assert [code for code, _ in other.ends] == [4000]


# Mistakes.


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1/", {}),
        ("ws://", {}),
        ("ws://{host}/x", {}),
        ("ws://user:hush@host/x", {}),
        ("ws://host/x", {"secret": "short"}),
        ("ws://host/x", {"headers": ["x-rooms-user"]}),
        ("ws://host/x", {"headers": ["a b"]}),
        ("ws://host/x", {"headers": ["Sec-WebSocket-Extensions"]}),
        ("ws://host/x", {"user_header": "Sec-WebSocket-Key"}),
    ],
)
def test_what_cannot_be_a_gateway_is_said_at_once(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Gateway(url, **options)
    assert "hush" not in str(caught.value)
