"""What docs/asgi.md says holds on every transport: our own sockets, ASGI, and memory streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec
import pytest
import trio

from rooms import App, Context, Credentials, Disconnect, Identity, Settings, User, WebSocket, serve
from rooms import asgi as as_asgi
from rooms.protocol.frames import BINARY, CONTINUATION, PING, TEXT
from rooms.testing import TestClient, client_frame, in_memory
from rooms.testing.client import Refused
from tests.server.hypercorn import hypercorn

SECONDS = 20
SETTINGS = Settings(port=0, message_bytes=20_000, close_seconds=1, errors_in_a_row=3)
FROM_ELSEWHERE = "Origin: http://elsewhere.example\r\n"

Open = Callable[[], Awaitable[trio.abc.Stream]]
Transport = Callable[[App], AbstractAsyncContextManager[Open]]


class Server:
    """A server that is reached by one of the transports."""

    def __init__(self, open_stream: Open) -> None:
        self._open = open_stream
        self._streams: list[trio.abc.Stream] = []

    async def connect(self, path: str, headers: str = "") -> TestClient:
        """Return a client that has been accepted; what it is told is still to be read."""
        stream = await self._open()
        self._streams.append(stream)
        client = TestClient(stream)
        await client.handshake(path, headers)
        return client

    async def member(self) -> TestClient:
        """Return a client of the native protocol in a room."""
        client = await self.connect("/ws")
        await client.welcome()
        await client.join("r")
        return client

    async def refused(self, path: str, headers: str = "") -> tuple[int, str]:
        """Return the status of an answer that is no yes, and the code in its body."""
        with pytest.raises(Refused) as caught:
            await self.connect(path, headers)
        body = caught.value.answer
        while not body.endswith(b"}\n"):
            body += bytes(await self._streams[-1].receive_some())
        said: str = json.loads(body.partition(b"\r\n\r\n")[2])["error"]["code"]
        return caught.value.status, said

    async def hang_up(self) -> None:
        """Close whatever was opened."""
        for stream in self._streams:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def native(app: App) -> AsyncIterator[Open]:
    async with serve(app, SETTINGS) as server:
        yield partial(trio.open_tcp_stream, "127.0.0.1", server.port)


@asynccontextmanager
async def asgi(app: App) -> AsyncIterator[Open]:
    async with hypercorn(as_asgi(app, SETTINGS)) as port:
        yield partial(trio.open_tcp_stream, "127.0.0.1", port)


@asynccontextmanager
async def memory(app: App) -> AsyncIterator[Open]:
    async with in_memory(app, SETTINGS) as server:

        async def open_stream() -> trio.abc.Stream:
            return server.open_stream()

        yield open_stream


@pytest.fixture(params=[native, asgi, memory], ids=["native", "asgi", "memory"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each of the transports."""
    chosen: Transport = request.param
    return chosen


@asynccontextmanager
async def served(transport: Transport, app: App) -> AsyncIterator[Server]:
    """Serve an application by a transport while the block runs."""
    with trio.fail_after(SECONDS):
        async with transport(app) as open_stream:
            server = Server(open_stream)
            try:
                yield server
            finally:
                await server.hang_up()


def relay() -> App:
    """Return rooms in all dialects, with one handler and one endpoint."""
    app = App(relay=True, dialects=["native", "zaptools", "fdw", "tranzit"])

    @app.on("double")
    def double(ctx: Context[int]) -> int:
        return 2 * ctx.payload

    @app.on("leave")
    def leave(ctx: Context[None]) -> None:
        raise Disconnect("enough", 4001)

    @app.websocket("/echo/{name}", subprotocols=["echo"])
    async def echo(ws: WebSocket) -> None:
        await ws.send(f"{ws.path_parameters['name']} {ws.query_parameters['x']}")
        async for message in ws:
            await ws.send(message)

    return app


async def test_members_hear_each_other_in_one_order(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        ana, ben = await server.member(), await server.member()
        for number in range(200):
            await ana.send(type="event", event="said", room="r", payload=f"é{number}")
        for member in (ana, ben):
            heard = [await member.receive_event("said") for _ in range(200)]
            assert heard == [f"é{number}" for number in range(200)]


async def test_presence_history_and_recovery(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        ana = await server.member()
        reply = await ana.event("said", "r", "first")
        await ana.event("said", "r", "second")
        ben = await server.connect("/ws")
        await ben.welcome()
        joined = await ben.request(type="join", room="r", since=reply["position"])
        assert (joined["count"], [each["payload"] for each in joined["missed"]]) == (2, ["second"])
        past = await ben.request(type="history", room="r")
        assert [each["payload"] for each in past["publications"]] == ["second", "first"]
        await ana.stream.aclose()
        while (await ben.receive_type("presence"))["count"] != 1:
            pass


async def test_every_dialect_is_spoken(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        packed = await server.connect("/ws", "Sec-WebSocket-Protocol: rooms.v1.msgpack\r\n")
        assert msgspec.msgpack.decode(await packed.message())["type"] == "welcome"
        for path, frame, answer in (
            (
                "/zaptools",
                '{"eventName":"double","payload":2}',
                b'{"eventName":"double","payload":4',
            ),
            ("/tranzit/r", "said|a,b", b"said|a,b"),
            ("/fdw/ana", '{"type":"broadcast","msg":"é"}', '{"msg":"é"}'.encode()),
        ):
            client = await server.connect(path)
            await client.send_raw(client_frame(frame))
            assert (await client.message()).startswith(answer)
        assert await server.refused("/fdw/ana") == (409, "conflict")


async def test_mistakes_are_answered_and_end_a_connection_that_goes_on(
    transport: Transport,
) -> None:
    async with served(transport, relay()) as server:
        client = await server.member()
        await client.send_raw(client_frame("nonsense") * 10)
        assert (await client.receive_type("error"))["code"] == "malformed"
        assert (await client.closing()).code == 3509


async def test_a_message_over_the_limit_ends_the_connection(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        for path in ("/ws", "/echo/ana?x=1"):
            client = await server.connect(path)
            await client.send_raw(client_frame("x" * 20_001))
            assert (await client.closing()).code == 1009


async def test_the_server_says_goodbye_with_code_and_reason(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        client = await server.member()
        await client.send(type="event", event="leave")
        closed = await client.closing()
        assert (closed.code, closed.reason) == (4001, "enough")


async def test_refusals_come_before_the_upgrade(transport: Transport) -> None:
    async with served(transport, relay()) as server:
        assert await server.refused("/nowhere") == (404, "not_found")
        assert await server.refused("/ws", FROM_ELSEWHERE) == (403, "origin")


async def test_who_signs_in_with_the_request_is_known(transport: Transport) -> None:
    app = relay()

    @app.authenticate
    def check(credentials: Credentials) -> Identity | None:
        return Identity(user=User("ana", "Ana")) if credentials.token == "right" else None

    async with served(transport, app) as server:
        assert (await server.refused("/echo/ana?x=1"))[0] == 401
        assert (await server.refused("/ws", "Authorization: Bearer wrong\r\n"))[0] == 401
        client = await server.connect("/ws", "Authorization: Bearer right\r\n")
        assert (await client.welcome())["user"]["id"] == "ana"


@pytest.mark.parametrize(
    ("frames", "opcode", "payload"),
    [
        (client_frame("é"), TEXT, "é".encode()),
        (client_frame(b"\x00\xff", BINARY), BINARY, b"\x00\xff"),
        (client_frame(""), TEXT, b""),
        (client_frame(b"", BINARY), BINARY, b""),
        (client_frame("x" * 20_000), TEXT, b"x" * 20_000),
        (client_frame("a", fin=False) + client_frame("b", CONTINUATION), TEXT, b"ab"),
        (client_frame("", PING) + client_frame("pinged"), TEXT, b"pinged"),
    ],
)
async def test_an_endpoint_sends_messages_back_as_they_came(
    transport: Transport, frames: bytes, opcode: int, payload: bytes
) -> None:
    async with served(transport, relay()) as server:
        client = await server.connect("/echo/a%20b?x=%C3%A9", "Sec-WebSocket-Protocol: a, echo\r\n")
        assert await client.message() == "a b é".encode()
        await client.send_raw(frames)
        while (frame := await client.frame()).opcode not in (TEXT, BINARY):
            pass
        assert (frame.opcode, frame.payload) == (opcode, payload)
