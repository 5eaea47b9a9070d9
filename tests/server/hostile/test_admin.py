"""Whoever goes for the admin API, the pages or the log, over real sockets."""

from __future__ import annotations

import json

import pytest
import structlog
import trio

from rooms import App, Server, Settings, logs, serve
from rooms.config import LogFormat
from rooms.core.admin_tokens import new_token
from rooms.core.tries import TRIES
from rooms.protocol.http import BARE_HEADERS
from tests.server.hostile.ground import Ground, ground

READER, ACTOR = new_token("probe", "read", "look"), new_token("deploy", "full", "act")
TOKENS = (READER.line, ACTOR.line)


def request(method: str, path: str, *headers: str, body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: rooms.test", "Connection: close", *headers]
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def publish(*headers: str) -> bytes:
    headers = ("Content-Type: application/json", *headers)
    return request("POST", "/api/rooms/lobby/publish", *headers, body='{"event": "e"}')


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("authorization", "looks", "acts"),
    [
        ("", 401, 401),
        ("Authorization: Bearer wrong", 401, 401),
        (f"Authorization: Bearer {ACTOR.digest.hex()}", 401, 401),
        ("Authorization: Bearer look", 200, 403),
        ("Authorization: Bearer act", 200, 200),
        ("Authorization: Bearer look\r\nAuthorization: Bearer act", 401, 401),
        ("Cookie: rooms-admin=forged", 401, 401),
        ("X-Forwarded-For: 127.0.0.1\r\nX-Admin: true", 401, 401),
    ],
)
async def test_only_a_token_opens_and_only_as_far_as_its_role_goes(
    authorization: str, looks: int, acts: int
) -> None:
    async with ground(admin_tokens=TOKENS) as place:
        headers = [authorization] if authorization else []
        assert status(await place.ask(request("GET", "/api/info", *headers))) == looks
        assert status(await place.ask(publish(*headers))) == acts


@pytest.mark.parametrize(
    "path",
    ["/api/../api/info", "//api/info", "/%61pi/info", "/api/info/", "/API/info", "/api//info"],
)
async def test_no_spelling_of_a_path_leads_past_the_guard(path: str) -> None:
    async with ground(admin_tokens=TOKENS) as place:
        answer = await place.ask(request("GET", path))
        assert status(answer) in (401, 404)
        assert b"uptime" not in answer


async def ask_from(place: Ground, address: str, token: str) -> int:
    """Return the status that somebody at another address of this machine gets."""
    stream = await trio.open_tcp_stream("127.0.0.1", place.server.port, local_address=address)
    async with stream:
        await stream.send_all(request("GET", "/api/info", f"Authorization: Bearer {token}"))
        return status(b"".join([bytes(part) async for part in stream]))


async def test_who_guesses_is_slowed_down_and_others_are_not() -> None:
    async with ground(admin_tokens=TOKENS) as place:
        tried = [await ask_from(place, "127.0.0.2", f"guess {each}") for each in range(TRIES + 1)]
        assert tried == [401] * TRIES + [429]
        assert await ask_from(place, "127.0.0.2", "act") == 429
        assert await ask_from(place, "127.0.0.3", "act") == 200


WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (request("GET", "/nowhere"), 404),
        (request("GET", "/api/info"), 401),
        (request("PUT", "/"), 405),
        (request("GET", "/static/../rooms.toml"), 404),
        (request("GET", "/ws", *WEBSOCKET, "Origin: https://evil.example"), 403),
        (request("GET", "/elsewhere", *WEBSOCKET), 404),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nbad\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"BAD /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
    ],
)
async def test_every_answer_is_one_that_no_browser_can_misuse(wrong: bytes, expected: int) -> None:
    async with ground() as place:
        head = (await place.ask(wrong)).partition(b"\r\n\r\n")[0]
    assert status(head) == expected
    names = {line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n")}
    assert {name.lower() for name in BARE_HEADERS} <= names


async def send(server: Server, data: bytes) -> None:
    """Send bytes on a new connection and wait for its end."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(data)
        async for _ in stream:
            pass


ESCAPES = "\x1b[2J\x9b31m\x85"


@pytest.mark.parametrize("form", ["console", "json"])
async def test_nobody_writes_a_line_of_the_log(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", form)
    structlog.configure(cache_logger_on_first_use=False)  # these loggers outlive what they write to
    try:
        async with serve(App(), Settings(port=0, admin_tokens=TOKENS)) as server:
            for attack in (
                request("GET", "/ws", *WEBSOCKET, f"Origin: https://{ESCAPES}evil"),
                request("GET", f"/api/x%0d%0aforged{ESCAPES}", "Authorization: Bearer x"),
                request("POST", "/api/rooms/a%0aforged%1b/publish", "Authorization: Bearer act"),
                request("GET", "/", f"X-Forwarded-For: forged{ESCAPES}", f"User-Agent: {ESCAPES}"),
                b"GET /%0d%0aforged HTTP/1.1\r\nHost: a\r\nX: \x1b\rforged\r\n\r\n",
            ):
                await send(server, attack)
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    for line in lines:
        assert line.isprintable()
        assert json.loads(line) if form == "json" else line.startswith("20")
        assert not line.startswith("forged")
