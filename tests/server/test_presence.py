"""Presence by user: what members are told of each other, and when it is told that somebody left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms import App, Context, Settings
from rooms.errors import ShuttingDown, SlowConsumer
from rooms.server.presence import DETAILS_BYTES
from rooms.testing import MemoryServer, TestClient, client_close, in_memory

GRACE = Settings().presence_grace

Leaving = Callable[[TestClient, MemoryServer], Awaitable[object]]


async def enter(server: MemoryServer, name: str = "", room: str = "lobby") -> TestClient:
    """Connect, sign in if there is a name, and join."""
    client = await server.connect()
    if name:
        reply = await client.request(type="auth", name=name, secret=name)
        assert reply["type"] == "reply"
    await client.join(room)
    return client


async def told(client: TestClient, server: MemoryServer) -> list[dict[str, Any]]:
    """Return the changes of presence that a client has been told, with those of this moment."""
    await wait_all_tasks_blocked()
    server.node.hub.tell_presence()
    await client.send(type="ping")
    changes: list[dict[str, Any]] = []
    while (message := await client.receive())["type"] != "pong":
        changes.append(message)
    assert {change["type"] for change in changes} <= {"presence"}
    return changes


async def vanish(client: TestClient, server: MemoryServer) -> None:
    await trio.aclose_forcefully(client.stream)


async def reload_page(client: TestClient, server: MemoryServer) -> None:
    await client.close(1001)


async def read_too_slowly(client: TestClient, server: MemoryServer) -> None:
    server.node.sessions[client.id].end(SlowConsumer())
    await client.closing()


async def say_goodbye(client: TestClient, server: MemoryServer) -> None:
    await client.close(1000)


async def close_without_a_code(client: TestClient, server: MemoryServer) -> None:
    await client.send_raw(client_close(None))
    await client.closing()


async def leave(client: TestClient, server: MemoryServer) -> None:
    await client.request(type="leave", room="lobby")


async def be_thrown_out(client: TestClient, server: MemoryServer) -> None:
    server.node.clients[client.id].close(1001)
    await client.closing()


async def stay_until_the_server_stops(client: TestClient, server: MemoryServer) -> None:
    server.node.sessions[client.id].end(ShuttingDown())
    await client.closing()


# Details.


async def test_details_are_told_when_they_are_set_and_to_those_who_come(
    autojump_clock: object,
) -> None:
    app = App(guests=True)
    async with in_memory(app) as server:
        ana, ben = await enter(server, "Ana"), await enter(server, "Ben")
        await told(ben, server)
        client = server.node.clients[ana.id]
        client.presence = {"status": "busy"}
        client.presence = {"status": "away"}
        entry = {"client": ana.id, "details": {"status": "away"}}
        (change,) = await told(ben, server)
        assert change == {
            "type": "presence",
            "room": "lobby",
            "joined": {},
            "left": {},
            "changed": {"Ana": [entry]},
            "count": 2,
            "position": change["position"],
        }
        cem = await server.connect()
        assert (await cem.join("lobby"))["presence"]["Ana"] == [entry]
        client.presence = {}
        (change,) = await told(ben, server)
        assert change["changed"] == {"Ana": [{"client": ana.id}]}


async def test_details_are_told_in_every_room_and_in_those_to_come(autojump_clock: object) -> None:
    app = App()

    @app.on("connected")
    def describe(ctx: Context[Any]) -> None:
        ctx.client.presence = {"path": ctx.client.path}

    async with in_memory(app) as server:
        client = await server.connect()
        entry = {"client": client.id, "details": {"path": "/ws"}}
        for room in ("a", "b"):
            assert (await client.join(room))["presence"] == {client.id: [entry]}
        await told(client, server)
        server.node.clients[client.id].presence = {"n": 1}
        assert {change["room"] for change in await told(client, server)} == {"a", "b"}


async def test_details_that_are_read_are_a_copy() -> None:
    async with in_memory(App()) as server:
        peer = await server.connect()
        client = server.node.clients[peer.id]
        assert client.presence == {}
        given: dict[str, Any] = {"tags": ["x"]}
        client.presence = given
        given["tags"].append("y")
        client.presence["tags"].append("z")
        assert client.presence == {"tags": ["x"]}


@pytest.mark.parametrize(
    ("details", "trouble"),
    [
        ({"x": "x" * DETAILS_BYTES}, "takes 1032 bytes as JSON; at most 1024 are told"),
        (["x"], "must be a JSON object, not list"),
        (None, "must be a JSON object, not NoneType"),
        ({"x": object()}, "cannot be said in JSON"),
        ({"x": "\ud800"}, "cannot be said in JSON"),
    ],
)
async def test_details_that_cannot_be_told_are_refused(details: Any, trouble: str) -> None:
    async with in_memory(App()) as server:
        peer = await server.connect()
        client = server.node.clients[peer.id]
        client.presence = {"n": 1}
        with pytest.raises(ValueError, match=trouble):
            client.presence = details
        assert client.presence == {"n": 1}


# Of what members are told.


async def test_a_second_connection_is_no_news() -> None:
    async with in_memory(App(guests=True)) as server:
        tabs = [await enter(server, "Ana") for _ in range(2)]
        page = await tabs[0].request(type="presence", room="lobby")
        assert page["presence"] == {"Ana": [{"client": tab.id} for tab in tabs]}
        assert page["count"] == 1


async def test_each_connection_is_told_of_where_the_application_wants_it(
    autojump_clock: object,
) -> None:
    app = App(guests=True)
    app.rooms("#", presence="connections")
    async with in_memory(app) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await told(ben, server)
        tab = await enter(server, "Ana")
        (change,) = await told(ben, server)
        assert change["changed"] == {"Ana": [{"client": ana.id}, {"client": tab.id}]}
        await ana.close()
        (change,) = await told(ben, server)
        assert change["changed"] == {"Ana": [{"client": tab.id}]}
        assert (change["joined"], change["left"], change["count"]) == ({}, {}, 2)


async def test_presence_that_is_off_tells_a_number_alone(autojump_clock: object) -> None:
    app = App()
    app.rooms("#", presence="connections")
    app.rooms("huge/#", presence="off")
    async with in_memory(app) as server:
        first, second = await server.connect(), await server.connect()
        await first.join("huge/1")
        reply = await second.join("huge/1")
        assert ("presence" in reply, reply["count"]) == (False, 2)
        page = await first.request(type="presence", room="huge/1")
        assert (page.keys() & {"presence", "more"}, page["count"]) == (set(), 2)
        await second.close()
        assert await told(first, server) == []
        assert app.room("huge/1").count == 1
        assert app.room("huge/1").presence() == {first.id: [{"client": first.id}]}


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of users, connections, off"):
        App().rooms("#", presence="none")  # type: ignore[arg-type]


# Connections that were lost.


@pytest.mark.parametrize("lose", [vanish, reload_page, read_too_slowly])
async def test_a_user_who_lost_the_connection_has_left_after_the_grace(
    autojump_clock: object, lose: Leaving
) -> None:
    app = App(guests=True)
    async with in_memory(app) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await told(ben, server)
        await lose(ana, server)
        await trio.sleep(GRACE - 1)
        assert await told(ben, server) == []
        assert [member.id for member in app.room("lobby").members] == [ben.id]
        assert (app.room("lobby").count, set(app.room("lobby").presence())) == (2, {"Ana", "Ben"})
        await trio.sleep(1)
        (change,) = await told(ben, server)
        assert (change["left"], change["count"]) == ({"Ana": [{"client": ana.id}]}, 1)


@pytest.mark.parametrize(
    "go",
    [say_goodbye, close_without_a_code, leave, be_thrown_out, stay_until_the_server_stops],
)
async def test_who_leaves_on_purpose_or_is_sent_away_has_left_at_once(
    autojump_clock: object, go: Leaving
) -> None:
    async with in_memory(App(guests=True)) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await told(ben, server)
        await go(ana, server)
        (change,) = await told(ben, server)
        assert set(change["left"]) == {"Ana"}


async def test_a_silent_connection_is_a_lost_one(autojump_clock: object) -> None:
    settings = Settings(presence_grace=60)
    async with in_memory(App(guests=True), settings) as server:
        await enter(server, "Ana")
        await trio.sleep(settings.ping_seconds * 2 + settings.pong_seconds)
        assert not server.node.clients
        assert len(server.node.hub.rooms["lobby"].roster) == 1


@pytest.mark.parametrize(
    ("settings", "name"), [(Settings(presence_grace=0), "Ana"), (Settings(), "")]
)
async def test_there_is_no_grace_where_it_is_off_or_nobody_signed_in(
    autojump_clock: object, settings: Settings, name: str
) -> None:
    async with in_memory(App(guests=True), settings) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, name)
        await told(ben, server)
        await vanish(ana, server)
        (change,) = await told(ben, server)
        assert set(change["left"]) == {name or ana.id}


async def test_there_is_no_grace_when_the_server_stops(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await told(ben, server)
        server.node.draining = True
        await vanish(ana, server)
        (change,) = await told(ben, server)
        assert set(change["left"]) == {"Ana"}


async def test_a_server_does_not_wait_for_those_who_may_come_back(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        ana = await enter(server, "Ana")
        await vanish(ana, server)
        await wait_all_tasks_blocked()
        before = trio.current_time()
    assert trio.current_time() - before < 1


@pytest.mark.parametrize("lose", [vanish, reload_page])
async def test_nobody_is_told_of_a_user_who_comes_back_in_time(
    autojump_clock: object, lose: Leaving
) -> None:
    app = App(guests=True)
    async with in_memory(app) as server:
        ben = await enter(server, "Ben")
        tabs = [await enter(server, "Ana") for _ in range(2)]
        await told(ben, server)
        for tab in tabs:
            await lose(tab, server)
        await trio.sleep(GRACE - 1)
        again = [await enter(server, "Ana") for _ in range(2)]
        assert await told(ben, server) == []
        await trio.sleep(2 * GRACE)
        assert await told(ben, server) == []
        assert app.room("lobby").presence()["Ana"] == [{"client": tab.id} for tab in again]


async def test_who_comes_back_and_leaves_has_left(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await told(ben, server)
        await vanish(ana, server)
        await trio.sleep(1)
        again = await enter(server, "Ana")
        await leave(again, server)
        (change,) = await told(ben, server)
        assert set(change["left"]) == {"Ana"}


async def test_a_user_may_come_back_to_some_rooms_only(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        ben, ana = await enter(server, "Ben"), await enter(server, "Ana")
        await ben.join("other")
        await ana.join("other")
        await told(ben, server)
        await vanish(ana, server)
        await trio.sleep(1)
        await enter(server, "Ana")
        await trio.sleep(GRACE)
        (change,) = await told(ben, server)
        assert (change["room"], set(change["left"])) == ("other", {"Ana"})


async def test_a_room_where_somebody_may_be_back_is_released_in_the_end(
    autojump_clock: object,
) -> None:
    app = App(guests=True)
    async with in_memory(app, Settings(history_messages=0)) as server:
        ana = await enter(server, "Ana")
        first = (await ana.request(type="presence", room="lobby"))["position"]
        await vanish(ana, server)
        await trio.sleep(GRACE - 1)
        assert app.room_names == ["lobby"]
        assert app.room("lobby").members == []
        await trio.sleep(2)
        assert app.room_names == []
        assert not server.node.hub.changed_rosters
        ben = await server.connect()
        assert (await ben.join("lobby"))["position"] != first


async def test_a_guest_name_is_held_while_its_user_may_be_back(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        await vanish(await enter(server, "Ana"), server)
        other = await server.connect()
        wanted = {"type": "auth", "name": "Ana", "secret": "of somebody else"}
        assert (await other.request(**wanted))["code"] == "name_taken"
        await trio.sleep(GRACE)
        assert (await other.request(**wanted))["type"] == "reply"


async def test_a_guest_who_was_in_no_room_gives_the_name_back_at_once(
    autojump_clock: object,
) -> None:
    async with in_memory(App(guests=True)) as server:
        ana, other = await server.connect(), await server.connect()
        await ana.request(type="auth", name="Ana", secret="a")
        await vanish(ana, server)
        await wait_all_tasks_blocked()
        reply = await other.request(type="auth", name="Ana", secret="b")
        assert reply["type"] == "reply"


# Lists.


async def test_lists_are_paged_by_name_while_people_come_and_go() -> None:
    async with in_memory(App(guests=True)) as server:
        clients = {name: await enter(server, name) for name in ("Dee", "Ana", "Cem", "Ben", "Eve")}
        ask = {"type": "presence", "room": "lobby", "limit": 2}
        page = await clients["Eve"].request(**ask)
        assert (list(page["presence"]), page["count"], page["more"]) == (["Ana", "Ben"], 5, True)
        await leave(clients["Ben"], server)
        await enter(server, "Abe")
        page = await clients["Eve"].request(**ask, after="Ben")
        assert (list(page["presence"]), page["count"], page["more"]) == (["Cem", "Dee"], 5, True)
        page = await clients["Eve"].request(**ask, after="Dee")
        assert (list(page["presence"]), page["more"]) == (["Eve"], False)


async def test_lists_and_changes_carry_the_position_of_the_room(autojump_clock: object) -> None:
    async with in_memory(App(relay=True)) as server:
        ana = await enter(server)
        position = (await ana.event("say", "lobby", 1))["position"]
        page = await ana.request(type="presence", room="lobby")
        assert page["position"] == position
        await enter(server)
        ana.kept_events()
        assert (await told(ana, server))[-1]["position"] == position


async def test_an_application_pages_through_a_room() -> None:
    app = App(guests=True)
    async with in_memory(app) as server:
        clients = {name: await enter(server, name) for name in ("Cem", "Ana", "Ben")}
        server.node.clients[clients["Ana"].id].presence = {"n": 1}
        room = app.room("lobby")
        ana = [{"client": clients["Ana"].id, "details": {"n": 1}}]
        assert room.presence(2) == {"Ana": ana, "Ben": [{"client": clients["Ben"].id}]}
        assert list(room.presence(2, after="Ben")) == ["Cem"]
        assert room.presence(after="Cem") == {}
        assert room.count == 3
        assert app.room("nowhere").presence() == {}
