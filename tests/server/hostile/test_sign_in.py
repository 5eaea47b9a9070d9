"""People without, with wrong and with borrowed credentials, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from rooms.config import Settings
from rooms.errors import ConnectionLimit
from rooms.serving import Server, serve
from rooms.testing import Refused, TestClient
from tests.server.signing import Club, bearer, end_of, error_in, offered

ADMIN = "a token that opens"


class Place:
    """A server that asks who its clients are, on a real port."""

    def __init__(self, club: Club, server: Server) -> None:
        self.club = club
        self.server = server
        self._opened: list[trio.abc.Stream] = []

    async def knock(self, headers: str = "", path: str = "/ws") -> TestClient:
        stream = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        self._opened.append(stream)
        client = TestClient(stream)
        await client.handshake(path, headers)
        return client

    async def refusal(self, headers: str = "", path: str = "/ws") -> Refused:
        with pytest.raises(Refused) as caught:
            await self.knock(headers, path)
        return caught.value

    async def post(self, path: str, holder: str, **content: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {holder}"}
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers) as client:
            answer: dict[str, Any] = (await client.post(path, json=content)).json()
            return answer

    async def leave(self) -> None:
        for stream in self._opened:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def place(**settings: Any) -> AsyncIterator[Place]:
    club = Club()
    chosen = Settings(port=0, admin_token=ADMIN, close_seconds=1, grace_seconds=1, **settings)
    async with serve(club.app, chosen) as server:
        here = Place(club, server)
        try:
            with trio.fail_after(10):
                yield here
        finally:
            await here.leave()


async def test_whoever_is_refused_reaches_nothing_of_the_application() -> None:
    async with place() as here:
        for headers, status in (
            (bearer("no"), 401),
            (bearer("ban"), 403),
            (f"Sec-WebSocket-Protocol: {offered('no')}\r\n", 401),
            (bearer("x" * 100_000), 431),
            ("Origin: https://evil.example\r\n" + bearer("ana"), 403),
        ):
            refused = await here.refusal(headers)
            assert refused.status == status
            assert set(error_in(refused.answer)) >= {"code", "message"}
        assert here.server.node.sessions == {}
        assert here.club.happened == []


async def test_a_ticket_is_good_once_even_for_two_at_the_same_time() -> None:
    async with place() as here:
        ticket = (await here.post("/api/tickets", "ana"))["ticket"]
        outcomes: list[int] = []

        async def try_it() -> None:
            try:
                await here.knock(path=f"/ws?ticket={ticket}")
            except Refused as refused:
                outcomes.append(refused.status)
            else:
                outcomes.append(101)

        with capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(try_it)
        assert sorted(outcomes) == [101, 401, 401, 401]
        assert ticket not in repr(logs)


async def test_whoever_is_revoked_goes_and_stays_away() -> None:
    async with place() as here:
        here.club.tokens.add("t1", seconds=60)
        client = await here.knock(bearer("t1"))
        assert await here.post("/api/revoke", ADMIN, token="t1") == {"connections": 1}
        assert await end_of(client) == (3500, "sign-in revoked")
        assert (await here.refusal(bearer("t1"))).status == 401
        late = await here.knock()
        await late.receive()
        assert (await late.request(type="auth", token="t1"))["code"] == "unauthorized"


async def test_before_it_signs_in_a_client_is_told_nothing() -> None:
    async with place() as here:
        ana, stranger = await here.knock(bearer("ana")), await here.knock()
        await ana.receive()
        await stranger.receive()
        await ana.join("r")
        commands: list[dict[str, Any]] = [
            {"type": "join", "room": "r"},
            {"type": "presence", "room": "r"},
            {"type": "history", "room": "r"},
            {"type": "subscribe", "filter": "#"},
            {"type": "event", "event": "say", "room": "r"},
            {"type": "leave", "room": "r"},
        ]
        for command in commands:
            assert (await stranger.request(**command))["code"] == "unauthorized"
        await here.club.app.broadcast("secret", 1)
        await ana.event("say", "r", "hello")
        assert (await stranger.request(type="ping"))["type"] == "pong"
        assert stranger.kept_events() == []
        assert (await ana.request(type="presence", room="r"))["count"] == 1


async def test_an_expired_token_is_of_no_use() -> None:
    async with place() as here:
        here.club.tokens.add("old", seconds=-1)
        assert (await here.refusal(bearer("old"))).status == 401


async def test_one_users_connections_are_counted_however_they_sign_in() -> None:
    async with place(connections_per_user=1) as here:
        await (await here.knock(bearer("ana"))).receive()
        second = await here.knock()
        await second.receive()
        await second.send(type="auth", token="ana")
        assert (await end_of(second))[0] == ConnectionLimit.close_code
