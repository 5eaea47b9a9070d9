"""`rooms.server.revalidation`: whoever is in is asked about again and again."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from msgspec.structs import replace
from structlog.testing import capture_logs
from trio.testing import MockClock

from rooms import App, Client, Refused, WebSocket
from rooms.config import Settings
from rooms.testing import TestClient, in_memory
from tests.brokers.board import Board
from tests.server.cluster import guest_app, opened, pass_time
from tests.server.signing import Club, bearer, end_of

QUIET = Settings(ping_seconds=3600)


async def test_each_is_asked_about_once_in_its_time(autojump_clock: MockClock) -> None:
    club = Club()
    asked: Counter[str] = Counter()
    times = set()

    @club.app.revalidate(seconds=10)
    async def still(client: Client) -> bool:
        asked[client.id] += 1
        times.add(trio.current_time())
        return True

    async with in_memory(club.app, QUIET) as server:
        for token in ("ana", "ben", "ana"):
            await server.connect(headers=bearer(token))
        await trio.sleep(30.5)
    assert set(asked.values()) == {3}
    assert len(times) == 9  # not all at once


@pytest.mark.parametrize("raises", [False, True])
async def test_who_may_not_stay_is_sent_away(autojump_clock: MockClock, raises: bool) -> None:
    club = Club()

    @club.app.revalidate(seconds=5)
    def still(client: Client) -> bool:
        assert client.user is not None
        if client.user.id == "ana" and raises:
            raise Refused("You were banned.")
        return client.user.id != "ana"

    async with in_memory(club.app, QUIET) as server:
        ana, ben = [await server.connect(headers=bearer(token)) for token in ("ana", "ben")]
        assert await end_of(ana) == (3500, "You were banned." if raises else "invalid token")
        assert (await ben.event("whoami"))["payload"]["user"] == "ben"


async def test_an_answer_that_fails_or_does_not_come_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    club = Club()

    @club.app.revalidate(seconds=5)
    async def still(client: Client) -> bool:
        if client.id == "c1":
            raise RuntimeError("no database")
        await trio.sleep_forever()
        return False

    with capture_logs() as logs:
        async with in_memory(club.app, QUIET) as server:
            ana, ben = [await server.connect(headers=bearer(token)) for token in ("ana", "ben")]
            await trio.sleep(30)
            for client in (ana, ben):
                assert "user" in (await client.event("whoami"))["payload"]
    events = {log["event"] for log in logs}
    assert {"revalidation failed", "revalidation took too long"} <= events


async def test_connections_to_endpoints_of_ones_own_are_asked_about_too(
    autojump_clock: MockClock,
) -> None:
    club = Club()
    asked = []

    @club.app.websocket("/own")
    async def own(ws: WebSocket) -> None:
        await ws.send("hello")
        async for _ in ws:
            pass

    @club.app.revalidate(seconds=5)
    def still(client: Client | WebSocket) -> bool:
        assert client.user is not None
        asked.append((client.user.id, client.path, dict(client.claims)))
        return client.user.id != "ana"

    async with in_memory(club.app, replace(QUIET, close_seconds=1)) as server:
        ana, ben = [TestClient(server.open_stream()) for _ in range(2)]
        await ana.handshake("/own", bearer("ana"))
        await ben.handshake("/own", bearer("ben"))
        assert await ana.message() == await ben.message() == b"hello"
        assert (await ana.closing()).code == 3500
        await trio.sleep(10)
        assert [each.user.id for each in club.app.websockets.values() if each.user] == ["ben"]
    assert asked[:2] == [("ana", "/own", {}), ("ben", "/own", {})]
    assert asked.count(asked[0]) == 1


async def test_it_is_asked_on_each_of_several_nodes(autojump_clock: MockClock) -> None:
    asked = []

    def make_app() -> App:
        app = guest_app()
        app.revalidate(seconds=5)(lambda client: asked.append(client.id))
        return app

    async with opened(2, Board(), make_app) as members:
        for number, member in enumerate(members):
            await member.enter(f"user {number}")
        await pass_time(6)
    assert len(set(asked)) == 2


async def test_whoever_has_not_signed_in_is_not_asked_about(autojump_clock: MockClock) -> None:
    app = App(guests=True)
    asked = []
    app.revalidate(seconds=1)(lambda client: asked.append(client.id))
    async with in_memory(app, QUIET) as server:
        await server.connect()
        guest = await server.connect()
        await guest.request(type="auth", name="Ana", secret="s")
        await trio.sleep(1.5)
    assert asked == [guest.id]


def test_there_is_one_such_function_with_a_sensible_time() -> None:
    app = App()
    with pytest.raises(ValueError, match="positive"):
        app.revalidate(seconds=0)
    app.revalidate()(lambda client: True)
    with pytest.raises(ValueError, match="already"):
        app.revalidate()(lambda client: True)
    outer = App()
    outer.include(app)
    assert outer.revalidation == app.revalidation
