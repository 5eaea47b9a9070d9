"""`rooms.server.endings`: sign-ins that the application ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from rooms import App, WebSocket
from rooms.server.door import Door
from rooms.server.gate import LOGOUTS
from rooms.testing import MemoryServer, TestClient, in_memory
from rooms.testing.client import Refused as Unanswered
from tests.server.signing import BEN, Club, bearer, end_of, knock


async def refused(server: MemoryServer, token: str) -> bool:
    try:
        await knock(server, bearer(token))
    except Unanswered:
        return True
    return False


async def test_a_revoked_token_ends_its_connections_and_is_refused() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("t1", seconds=3600)
        club.tokens.add("t2", seconds=3600)
        first, second = [await server.connect(headers=bearer("t1")) for _ in range(2)]
        other = await server.connect(headers=bearer("t2"))
        assert club.app.revoke(token_id="t1") == 2
        assert await end_of(first) == await end_of(second) == (3500, "sign-in revoked")
        assert (await other.event("whoami"))["payload"]["user"] == "ana"
        assert await refused(server, "t1")
        answer = await (await server.connect()).request(type="auth", token="t1")
        assert answer["code"] == "unauthorized"
        assert not await refused(server, "t2")


async def test_a_revoked_token_is_refused_for_as_long_as_clocks_may_differ() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("t1", seconds=5)  # with a leeway of ten
        club.app.revoke(token_id="t1", expires_at=time.time() - 5)
        assert await refused(server, "t1")


async def test_a_revoked_user_goes_with_all_tokens_so_far() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("in use", seconds=3600)
        club.tokens.add("issued", seconds=3600, claims={"iat": time.time() - 1})
        club.tokens.add("newer", seconds=3600, claims={"iat": time.time() + 2})
        client = await server.connect(headers=bearer("in use"))
        ben = await server.connect(headers=bearer("ben"))
        assert club.app.revoke(user="ana") == 1
        assert (await end_of(client))[0] == 3500
        assert [await refused(server, each) for each in ("in use", "issued")] == [True, True]
        assert [await refused(server, each) for each in ("newer", "ben")] == [False, False]
        assert (await ben.event("whoami"))["payload"]["user"] == "ben"


async def test_a_token_that_is_revoked_while_it_is_looked_at_is_refused() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        club.tokens.add("t1")
        client = await server.connect()
        club.tokens.open = trio.Event()
        await client.send(type="auth", token="t1", id=1)
        await trio.testing.wait_all_tasks_blocked()
        assert club.app.revoke(token_id="t1") == 0
        club.tokens.open.set()
        assert (await client.receive_type("error"))["code"] == "unauthorized"
    assert club.happened == []


async def test_a_user_may_come_back_after_a_logout() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        gate = server.node.gate
        assert gate is not None
        clients = [await server.connect(headers=bearer("ana")) for _ in range(3)]
        ben = await server.connect(headers=bearer("ben"))
        ticket = gate.tickets.issue(club.tokens.identities["ana"], 30, time.time())
        assert club.app.logout("ana") == 3
        assert {await end_of(client) for client in clients} == {(3503, "signed out")}
        assert gate.tickets.redeem(ticket, time.time()) is None
        assert (await ben.event("whoami"))["payload"]["user"] == BEN.id
        assert not await refused(server, "ana")


async def test_a_check_that_is_under_way_at_a_logout_lets_nobody_in() -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        club.tokens.open = trio.Event()
        await client.send(type="auth", token="ana", id=1)
        await trio.testing.wait_all_tasks_blocked()
        club.app.logout("ana")
        club.tokens.open.set()
        assert (await client.receive_type("error"))["code"] == "unauthorized"
        assert (await client.request(type="auth", token="ana"))["user"]["id"] == "ana"


async def test_however_many_are_logged_out_no_check_from_before_counts(
    autojump_clock: MockClock,
) -> None:
    club = Club()
    async with in_memory(club.app) as server:
        client = await server.connect()
        club.tokens.open = trio.Event()
        await client.send(type="auth", token="ana", id=1)
        await trio.testing.wait_all_tasks_blocked()
        for user in ("ana", *map(str, range(LOGOUTS))):
            club.app.logout(user)
        club.tokens.open.set()
        with trio.fail_after(1):
            assert (await client.receive_type("error"))["code"] == "unauthorized"
        assert (await client.request(type="auth", token="ana"))["user"]["id"] == "ana"


def connect(server: MemoryServer, when_answered: Callable[[], object]) -> TestClient:
    """Return a client; something is done while the server answers its request."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def answered() -> None:
        theirs.send_stream.send_all_hook = None
        when_answered()

    theirs.send_stream.send_all_hook = answered
    server.nursery.start_soon(Door(server.node).serve_stream, theirs, "memory")
    return TestClient(ours)


@pytest.mark.parametrize("path", ["/ws", "/raw"])
@pytest.mark.parametrize(
    "end", [lambda app: app.logout("ana"), lambda app: app.revoke(user="ana")], ids=["out", "gone"]
)
async def test_a_handshake_that_is_answered_at_that_time_lets_nobody_in(
    path: str, end: Callable[[App], object], autojump_clock: MockClock
) -> None:
    club = Club()

    @club.app.websocket("/raw")
    async def raw(ws: WebSocket) -> None:
        club.happened.append("raw")
        await ws.receive()

    async with in_memory(club.app) as server:
        club.tokens.add("t1", seconds=3600)
        client = connect(server, partial(end, club.app))
        await client.handshake(path, bearer("t1"))
        with trio.fail_after(1):
            assert (await end_of(client))[0] in (3500, 3503)
        assert "raw" not in club.happened


async def test_guests_can_be_logged_out_too() -> None:
    app = App(guests=True)
    async with in_memory(app) as server:
        client: TestClient = await server.connect()
        await client.request(type="auth", name="Ana", secret="s")
        assert app.revoke(user="Ana") == 1
        assert (await end_of(client))[0] == 3500


async def test_it_must_be_said_what_to_revoke() -> None:
    with pytest.raises(ValueError, match="give a user"):
        App().revoke()
