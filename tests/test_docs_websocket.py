"""What `docs/websocket.md` shows is run here."""

from __future__ import annotations

import re
import time
import types
from pathlib import Path

import jwt
import pytest

from rooms import App, User
from rooms.config import Settings
from rooms.protocol.frames import BINARY
from rooms.server.tokens.upstream import signed_user
from rooms.testing import MemoryServer, Refused, TestClient, client_frame, in_memory

PAGE = (Path(__file__).parents[1] / "docs" / "websocket.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
QUICK = Settings(close_seconds=0.01)


def application(number: int) -> App:
    """Return the application of a block."""
    module = types.ModuleType("shown")
    source = BLOCKS[number].replace(":9000", ":1")  # where nobody listens
    exec(compile(source, "websocket.md", "exec"), module.__dict__)
    app = module.__dict__["app"]
    assert isinstance(app, App)
    return app


async def connect(server: MemoryServer, path: str, headers: str = "") -> TestClient:
    """Return a client of an endpoint."""
    client = TestClient(server.open_stream())
    await client.handshake(path, headers)
    return client


async def test_the_echo_greets_and_echoes() -> None:
    async with in_memory(application(0), QUICK) as server:
        client = await connect(server, "/echo/Ana")
        await client.send_raw(client_frame("x"))
        assert [await client.message(), await client.message()] == [b"Hello Ana", b"x"]


async def test_the_private_one_lets_in_who_has_the_key() -> None:
    async with in_memory(application(1), QUICK) as server:
        with pytest.raises(Refused) as caught:
            await connect(server, "/private?key=4321")
        assert caught.value.answer.endswith(b"not with that key")
        client = await connect(server, "/private?key=1234", "Sec-WebSocket-Protocol: chat.v2\r\n")
        assert await client.message() == b"come in"


async def test_a_gateway_without_an_upstream_is_a_bad_one() -> None:
    async with in_memory(application(3), QUICK) as server:
        with pytest.raises(Refused) as caught:
            await connect(server, "/live/lobby")
        assert caught.value.status == 502


def test_an_upstream_checks_who_is_signed_in() -> None:
    module = types.ModuleType("shown")
    exec(compile(BLOCKS[4], "websocket.md", "exec"), module.__dict__)
    secret = "0123456789" * 4
    header = signed_user(User("ana", "Ana"), secret, time.time())
    assert module.__dict__["signed_in"]({"x-rooms-user": header}, secret) == "ana"
    assert module.__dict__["signed_in"]({}, secret) is None
    with pytest.raises(jwt.InvalidSignatureError):
        module.__dict__["signed_in"]({"x-rooms-user": header}, secret[::-1])


async def test_streams_are_read_sent_and_relayed() -> None:
    async with in_memory(application(2), QUICK) as server:
        client = await connect(server, "/upload")
        await client.send_raw(client_frame(b"x" * 70_000, BINARY))
        assert await client.message() == b"70000"
        client = await connect(server, "/count")
        frames = [await client.frame() for _ in range(1001)]
        assert b"".join(frame.payload for frame in frames).split() == [
            b"%d" % n for n in range(1000)
        ]
        client = await connect(server, "/stream-echo")
        await client.send_raw(client_frame("again"))
        assert await client.message() == b"again"
