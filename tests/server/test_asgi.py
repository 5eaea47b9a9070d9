"""An application's rooms as ASGI, under a server that is a fake, and under Hypercorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from rooms import App, Context, Settings, WebSocket, asgi
from rooms.server.asgi import AsgiApp
from rooms.testing import TestClient
from tests.server.hypercorn import SECONDS, hypercorn

Message = dict[str, Any]


class FakeConnection:
    """A WebSocket as a server that speaks ASGI has it."""

    def __init__(self, nursery: trio.Nursery, served: Any, **scope: Any) -> None:
        self._to, receive = trio.open_memory_channel[Message](100)
        send, self._from = trio.open_memory_channel[Message](100)
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "path": "/ws",
            "query_string": b"",
            "headers": [(b"host", b"example.org")],
            "client": ("127.0.0.1", 1),
            "scheme": "ws",
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        } | scope
        self._to.send_nowait({"type": "websocket.connect"})
        nursery.start_soon(served, self.scope, receive.receive, send.send)

    async def heard(self) -> Message:
        """What the application sent next."""
        with trio.fail_after(SECONDS):
            return await self._from.receive()

    async def frame(self) -> Any:
        """The JSON of the next text."""
        return json.loads((await self.heard())["text"])

    async def say(self, **frame: Any) -> None:
        """Send a command."""
        await self._to.send({"type": "websocket.receive", "text": json.dumps(frame)})

    async def leave(self, code: int = 1000) -> None:
        """Say that the client has gone."""
        await self._to.send({"type": "websocket.disconnect", "code": code})

    async def greeted(self) -> str:
        """The client's id, once it is accepted and welcome."""
        assert (await self.heard())["type"] == "websocket.accept"
        welcome = await self.frame()
        assert welcome["type"] == "welcome"
        return str(welcome["client"])


@asynccontextmanager
async def under_asgi(app: App, **settings: Any) -> AsyncIterator[tuple[AsgiApp, trio.Nursery]]:
    """The application, running, and a nursery for its connections."""
    served = asgi(app, Settings(**settings))
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            async with served.running():
                yield served, nursery
            nursery.cancel_scope.cancel()


def chat() -> App:
    """Rooms that relay, and a handler of requests; it notes why clients leave."""
    app = App(relay=True)

    @app.on("double")
    def double(ctx: Context[int]) -> int:
        return 2 * ctx.payload

    return app


async def test_clients_join_speak_ask_and_leave(autojump_clock: MockClock) -> None:
    reasons: list[int] = []
    app = chat()

    @app.on("disconnected")
    def left(ctx: Context[None]) -> None:
        assert ctx.reason is not None
        reasons.append(ctx.reason.code)

    async with under_asgi(app) as (served, nursery):
        ana, ben = FakeConnection(nursery, served), FakeConnection(nursery, served)
        for each in (ana, ben):
            await each.greeted()
            await each.say(type="join", room="r", id=1)
            assert (await each.frame())["room"] == "r"
        await ana.say(type="event", event="said", room="r", payload="hé", id=2)
        assert (await ben.frame())["payload"] == "hé"
        await ben.say(type="event", event="double", payload=21, id=3)
        while (answer := await ben.frame())["type"] != "reply":
            pass
        assert answer["payload"] == 42
        await ben.leave(4001)
        await trio.sleep(10)
        assert reasons == [4001]
        assert len(app.clients) == 1


async def test_close_codes_and_reasons_reach_the_client(autojump_clock: MockClock) -> None:
    app = chat()
    async with under_asgi(app) as (served, nursery):
        client = FakeConnection(nursery, served)
        name = await client.greeted()
        app.clients[name].close(3503, "enough")
        closed = await client.heard()
        assert (closed["type"], closed["code"], closed["reason"]) == (
            "websocket.close",
            3503,
            "enough",
        )


async def test_a_silent_client_is_not_taken_for_dead(autojump_clock: MockClock) -> None:
    app = chat()
    async with under_asgi(app, ping_seconds=1, pong_seconds=1) as (served, nursery):
        client = FakeConnection(nursery, served)
        await client.greeted()
        await trio.sleep(60)
        assert len(app.clients) == 1


async def test_who_is_refused_gets_a_status_or_a_close(autojump_clock: MockClock) -> None:
    origin = [(b"host", b"example.org"), (b"origin", b"https://evil.example")]
    async with under_asgi(chat()) as (served, nursery):
        refused = FakeConnection(nursery, served, headers=origin)
        assert (await refused.heard())["status"] == 403
        assert b"origin" in (await refused.heard())["body"]
        plain = FakeConnection(nursery, served, headers=origin, extensions={})
        assert (await plain.heard())["type"] == "websocket.close"
        unknown = FakeConnection(nursery, served, path="/nowhere")
        assert (await unknown.heard())["status"] == 404


async def test_the_path_is_the_one_below_the_mount(autojump_clock: MockClock) -> None:
    async with under_asgi(chat()) as (served, nursery):
        client = FakeConnection(nursery, served, path="/live/ws", root_path="/live")
        await client.greeted()


async def test_a_header_cannot_add_a_line_to_the_request(autojump_clock: MockClock) -> None:
    smuggled = [(b"host", b"h"), (b"x", b"1\r\nAuthorization: Bearer x")]
    async with under_asgi(chat()) as (served, nursery):
        client = FakeConnection(nursery, served, headers=smuggled)
        assert (await client.heard())["status"] == 400


async def test_the_end_says_goodbye(autojump_clock: MockClock) -> None:
    app = chat()
    async with trio.open_nursery() as nursery:
        served = asgi(app)
        async with served.running():
            client = FakeConnection(nursery, served)
            await client.greeted()
        assert (await client.heard())["code"] == 3001


async def connect(port: int, path: str) -> TestClient:
    """A client that has been greeted."""
    client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.handshake(path)
    await client.welcome()
    return client


async def test_fastapi_mounts_rooms_and_publishes_to_them() -> None:
    fastapi = pytest.importorskip("fastapi")
    app = chat()
    live = asgi(app)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with live.running():
            yield

    web: Any = fastapi.FastAPI(lifespan=lifespan)
    web.mount("/live", live)

    @web.get("/tell/{text}")  # type: ignore[untyped-decorator]
    async def tell(text: str) -> int:
        return (await app.room("news").publish("news", text)).offset

    async with hypercorn(web) as port:
        client = await connect(port, "/live/ws")
        await client.join("news")
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET /tell/rain HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert b" 200 " in await stream.receive_some()
        await stream.aclose()
        assert await client.receive_event("news") == "rain"
        await client.close()


async def test_rooms_stand_before_a_quart_trio_application() -> None:
    from quart_trio import QuartTrio

    site = QuartTrio("site")

    @site.get("/")
    async def index() -> str:
        return "hello"

    async with hypercorn(asgi(chat(), then=cast(Any, site))) as port:
        client = await connect(port, "/ws")
        assert (await client.event("double", payload=4))["payload"] == 8
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b""
        while not answer.endswith(b"hello"):
            answer += await stream.receive_some()
        await stream.aclose()
        await client.close()


async def test_hypercorn_does_not_tell_how_a_client_left() -> None:
    """As docs/asgi.md says; what an endpoint does last is done all the same."""
    app, seen = App(), trio.Event()
    codes: list[int] = []

    @app.websocket("/here")
    async def here(ws: WebSocket) -> None:
        try:
            async for message in ws:
                await ws.send(message)
        finally:
            assert ws.closed is not None
            codes.append(ws.closed.code)
            seen.set()

    async with hypercorn(asgi(app)) as port:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
        await client.handshake("/here")
        await client.close(4001)
        await seen.wait()
    assert codes == [1006]


@pytest.mark.parametrize("setting", ["broker", "broker_file"])
async def test_settings_that_cannot_be_used_stop_the_server_from_starting(
    setting: str, tmp_path: Path
) -> None:
    file = tmp_path / "broker"
    file.write_text("nothing://")
    value = "nothing://" if setting == "broker" else str(file)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    settings: Any = {setting: value}
    await asgi(chat(), Settings(**settings))({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "nothing://" in sent[0]["message"]


def test_a_server_on_asyncio_is_told_so_at_its_start() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(asgi(chat())({"type": "lifespan"}, receive, send))
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "Rooms run on Trio" in sent[0]["message"]


async def test_endpoints_of_ones_own_work_too(autojump_clock: MockClock) -> None:
    app = chat()

    @app.websocket("/shout/{name}")
    async def shout(ws: WebSocket) -> None:
        async for message in ws:
            assert isinstance(message, str)
            await ws.send(f"{ws.path_parameters['name']}: {message.upper()}")

    async with under_asgi(app) as (served, nursery):
        client = FakeConnection(nursery, served, path="/shout/a b", raw_path=b"/shout/a%20b")
        assert (await client.heard())["type"] == "websocket.accept"
        await client._to.send({"type": "websocket.receive", "text": "hello"})
        assert (await client.heard())["text"] == "a b: HELLO"
        await client.leave()


async def test_the_end_says_goodbye_to_them_as_well(autojump_clock: MockClock) -> None:
    app = chat()

    @app.websocket("/wait")
    async def wait(ws: WebSocket) -> None:
        await ws.receive()

    async with trio.open_nursery() as nursery:
        served = asgi(app)
        async with served.running():
            client = FakeConnection(nursery, served, path="/wait")
            assert (await client.heard())["type"] == "websocket.accept"
            stopped = trio.current_time()
        assert (await client.heard())["code"] == 3001
        assert trio.current_time() - stopped < 1
