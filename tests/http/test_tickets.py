"""`rooms.http.tickets`, `rooms.http.revocations`: sign-ins over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from quart.typing import TestClientProtocol as Site
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms import App, SignedCookie
from rooms.config import Settings
from rooms.http.site import Part, create_site
from rooms.testing import MemoryServer, in_memory
from rooms.testing.client import Refused as Unanswered
from tests.http.fakes import TOKEN
from tests.server.signing import Club, bearer, end_of, knock
from tests.server.test_cookies import SECRET, cookie

JSON = {"Content-Type": "application/json"}


def token(name: str) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {name}"}


@asynccontextmanager
async def site_of(
    app: App, part: Part = "all", **settings: Any
) -> AsyncIterator[tuple[MemoryServer, Site]]:
    chosen = Settings(admin_token=TOKEN, **settings)
    async with in_memory(app, chosen) as server:
        yield server, create_site(app, chosen, part=part).test_client()


async def ask(site: Site, headers: dict[str, str], **more: Any) -> tuple[int, Any]:
    answer = await site.post("/api/tickets", headers=headers, **more)
    return answer.status_code, msgspec.json.decode(await answer.get_data(as_text=False))


async def refused(server: MemoryServer, ticket: str) -> int:
    with pytest.raises(Unanswered) as caught:
        await knock(server, path=f"/ws?ticket={ticket}")
    return caught.value.status


async def test_a_ticket_opens_one_connection_of_its_user() -> None:
    club = Club()
    with capture_logs() as logs:
        async with site_of(club.app) as (server, site):
            status, answer = await ask(site, token("ana"))
            assert (status, answer["expires_in"]) == (200, 30)
            client = await knock(server, path=f"/ws?a=1&ticket={answer['ticket']}")
            assert (await client.receive())["user"]["id"] == "ana"
            (kept,) = server.node.clients.values()
            assert kept.handshake.query == "a=1"
            assert answer["ticket"].encode() not in kept.handshake.head
            assert await refused(server, answer["ticket"]) == 401
            assert answer["ticket"] not in repr(logs)


async def test_a_ticket_is_good_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    club = Club()
    async with site_of(club.app, ticket_seconds=5) as (server, site):
        _, answer = await ask(site, token("ana"))
        later = time.time() + 5
        monkeypatch.setattr(time, "time", lambda: later)
        assert await refused(server, answer["ticket"]) == 401


async def test_a_ticket_of_a_token_that_was_revoked_opens_nothing() -> None:
    club = Club()
    async with site_of(club.app) as (server, site):
        club.tokens.add("t1", seconds=60)
        _, answer = await ask(site, token("t1"))
        club.app.revoke(token_id="t1")
        assert await refused(server, answer["ticket"]) == 401


async def test_a_connection_by_ticket_ends_with_the_token_behind_it(
    autojump_clock: MockClock,
) -> None:
    club = Club()
    async with site_of(club.app) as (server, site):
        club.tokens.add("t1", seconds=20)
        _, answer = await ask(site, token("t1"))
        client = await knock(server, path=f"/ws?ticket={answer['ticket']}")
        assert await end_of(client) == (3005, "token expired")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (JSON, 401, "unauthorized"),
        (token("no"), 401, "unauthorized"),
        (token("ban"), 403, "forbidden"),
        (token("crash"), 500, "internal"),
        ({"Authorization": "Bearer ana"}, 415, "unsupported_media_type"),
        ({**token("ana"), "Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (token(TOKEN), 401, "unauthorized"),
    ],
)
async def test_nobody_else_gets_a_ticket(headers: dict[str, str], status: int, code: str) -> None:
    async with site_of(Club().app) as (_, site):
        answer = await site.post("/api/tickets", headers=headers)
        body = msgspec.json.decode(await answer.get_data(as_text=False))
        assert (answer.status_code, body["error"]["code"]) == (status, code)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_a_token_in_the_query_is_none() -> None:
    async with site_of(Club().app) as (server, site):
        answer = await site.post("/api/tickets?token=ana&access_token=ana", headers=JSON)
        assert answer.status_code == 401
        welcome = await (await knock(server, path="/ws?token=ana&access_token=ana")).receive()
        assert welcome["user"] is None


async def test_there_are_no_tickets_where_nobody_signs_in() -> None:
    async with site_of(App()) as (_, site):
        status, answer = await ask(site, token("ana"))
        assert (status, answer["error"]["code"]) == (404, "not_found")


SAME = {"Origin": "http://localhost", "Host": "localhost"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (SAME, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://app.example"}, 200),
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_cookie_gets_one_for_pages_that_may_connect(
    headers: dict[str, str], status: int
) -> None:
    app = App(auth=SignedCookie(SECRET))
    async with site_of(app, cors_origins=("https://app.example",)) as (server, site):
        cookies = {"Cookie": f"session={cookie(user_id=7)}"}
        got, answer = await ask(site, {**JSON, **cookies, **headers})
        assert got == status
        if got == 200:
            client = await knock(server, path=f"/ws?ticket={answer['ticket']}")
            assert (await client.receive())["user"]["id"] == "7"


async def test_beside_a_token_a_cookie_counts_for_nothing() -> None:
    app = App(auth=SignedCookie(SECRET))
    async with site_of(app) as (_, site):
        cookies = {"Cookie": f"session={cookie(user_id=7)}"}
        assert (await ask(site, {**token("x"), **cookies}))[0] == 401


async def test_too_many_guesses_of_one_address_are_not_even_looked_at() -> None:
    club = Club()
    async with site_of(club.app) as (_, site):
        statuses = [(await ask(site, token("no")))[0] for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert len(club.tokens.asked) == 10


async def test_a_check_that_takes_too_long_is_given_up(autojump_clock: MockClock) -> None:
    club = Club()
    async with site_of(club.app, auth_seconds=2) as (_, site):
        club.tokens.open = trio.Event()
        status, answer = await ask(site, token("ana"))
        assert (status, answer["error"]["code"]) == (503, "unavailable")


# The admin API.


async def admin(site: Site, path: str, order: dict[str, Any]) -> tuple[int, Any]:
    data = msgspec.json.encode(order)
    answer = await site.post(path, headers=token(TOKEN), data=data)
    return answer.status_code, msgspec.json.decode(await answer.get_data(as_text=False))


@pytest.mark.parametrize("order", [{"user": "ana"}, {"token": "t1"}])
async def test_an_operator_can_revoke(order: dict[str, str]) -> None:
    club = Club()
    async with site_of(club.app) as (server, site):
        club.tokens.add("t1", seconds=60)
        client = await server.connect(headers=bearer("t1"))
        assert await admin(site, "/api/revoke", order) == (200, {"connections": 1})
        assert await end_of(client) == (3500, "sign-in revoked")
        with pytest.raises(Unanswered):
            await knock(server, bearer("t1"))


async def test_an_operator_can_log_a_user_out() -> None:
    club = Club()
    async with site_of(club.app) as (server, site):
        client = await server.connect(headers=bearer("ana"))
        assert await admin(site, "/api/logout", {"user": "ana"}) == (200, {"connections": 1})
        assert await end_of(client) == (3503, "signed out")


@pytest.mark.parametrize("order", [{}, {"user": ""}, {"user": 1}, {"token": None}])
async def test_it_must_be_said_what_to_revoke(order: dict[str, Any]) -> None:
    async with site_of(Club().app) as (_, site):
        status, answer = await admin(site, "/api/revoke", order)
        assert (status, answer["error"]["code"]) == (422, "invalid")


async def test_only_an_operator_can() -> None:
    async with site_of(Club().app) as (_, site):
        for path in ("/api/revoke", "/api/logout"):
            answer = await site.post(path, headers=token("ana"), data=b'{"user":"ben"}')
            assert answer.status_code == 401
