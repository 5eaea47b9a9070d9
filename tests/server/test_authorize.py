"""`@app.authorize`: rules say who may do what in which rooms, for every command anew."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rooms import Access, App, Context, Event, RequestError, RoomsError, User
from rooms.core.grants import ACTIONS, Action
from rooms.errors import InvalidFilter
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.server.rules import COMMANDS, ROOM, app_with, code_of, grant


class Say(Event):
    """What a handler may want to read."""

    text: str


@pytest.mark.parametrize("slow", [False, True], ids=["plain", "asynchronous"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_a_rule_decides_about_its_action(action: Action, slow: bool) -> None:
    others: dict[Action, bool | None] = dict.fromkeys(ACTIONS, True)
    async with in_memory(app_with(others, slow=slow)) as server:
        client = await server.connect()
        assert [await code_of(client, **COMMANDS[each]) for each in ACTIONS] == ["allowed"] * 5
    async with in_memory(app_with({**others, action: False}, slow=slow)) as server:
        client = await server.connect()
        if action != "join":
            await client.join(ROOM)
        assert await code_of(client, **COMMANDS[action]) == "forbidden"


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_no_rule_allows_is_forbidden_where_there_is_any_rule(action: str) -> None:
    async with in_memory(app_with({"join": None})) as server:
        client = await server.connect()
        assert await code_of(client, **COMMANDS[action]) == "forbidden"
        elsewhere = {
            key: "lobby" if key in ("room", "filter") else value
            for key, value in COMMANDS[action].items()
        }
        await client.join("lobby")
        assert await code_of(client, **elsewhere) in ("allowed", "already_joined")


async def test_one_rule_that_says_no_outweighs_all_that_say_yes() -> None:
    app = app_with({"join": True})
    app.authorize("join", "publish", room="#")(lambda access: access.room != "team/2")
    async with in_memory(app) as server:
        client = await server.connect()
        assert await code_of(client, type="join", room="team/1") == "allowed"
        assert await code_of(client, type="join", room="team/2") == "forbidden"


async def test_a_rule_sees_who_asks_for_what() -> None:
    seen: list[Access] = []
    app = App(relay=True, guests=True)

    @app.authorize(*ACTIONS, room="team/#")
    def note(access: Access) -> bool:
        seen.append(access)
        return True

    async with in_memory(app) as server:
        client = await server.connect()
        await client.request(type="auth", name="Ana", secret="s")
        for command in COMMANDS.values():
            await client.request(**command)
        await client.request(type="subscribe", filter="team/#")
    asked = [(each.action, each.room, each.filter, each.event, each.payload) for each in seen]
    assert asked == [
        ("join", ROOM, None, None, None),
        ("publish", ROOM, None, "say", {"n": 1}),
        ("subscribe", ROOM, ROOM, None, None),
        ("presence", ROOM, None, None, None),
        ("history", ROOM, None, None, None),
        ("subscribe", None, "team/#", None, None),
    ]
    assert {(each.client.id, each.user, each.identity) for each in seen} == {
        ("c1", User("Ana", "Ana"), None)
    }


@pytest.mark.parametrize("slow", [False, True], ids=["plain", "asynchronous"])
async def test_a_rule_may_refuse_with_an_error_of_its_own(slow: bool) -> None:
    class NotPaid(RequestError):
        """Pay first."""

        code = "not_paid"

    app = App(relay=True)

    def refuse(access: Access) -> bool:
        raise NotPaid

    async def refuse_later(access: Access) -> bool:
        raise NotPaid

    app.authorize("join", room="#")(refuse_later if slow else refuse)
    async with in_memory(app) as server:
        assert await code_of(await server.connect(), **COMMANDS["join"]) == "not_paid"


@pytest.mark.parametrize("answer", [1, "yes", [True], 0, ""])
async def test_an_answer_that_is_none_of_the_three_allows_nothing(answer: Any) -> None:
    app = App(relay=True)
    app.authorize("join", room="#")(lambda access: answer)
    async with in_memory(app) as server:
        assert await code_of(await server.connect(), **COMMANDS["join"]) == "internal"


async def test_an_asynchronous_rule_in_disguise_allows_nothing_until_it_has_answered() -> None:
    class Rule:
        async def __call__(self, access: Access) -> bool:
            return False

    async def no(access: Access) -> bool:
        return False

    app = App(relay=True)
    app.authorize("join", room="team/1")(Rule())
    app.authorize("join", room="team/2")(lambda access: no(access))
    async with in_memory(app) as server:
        client = await server.connect()
        assert await code_of(client, type="join", room="team/1") == "forbidden"
        assert await code_of(client, type="join", room="team/2") == "internal"


async def test_a_rule_that_fails_allows_nothing() -> None:
    app = App(relay=True)
    app.authorize("join", room="#")(lambda access: 1 / 0 > 1)
    async with in_memory(app) as server:
        assert await code_of(await server.connect(), **COMMANDS["join"]) == "internal"


async def test_what_the_application_does_itself_is_not_asked_for() -> None:
    app = app_with(dict.fromkeys(ACTIONS, False))

    @app.on("let me in")
    async def let_in(ctx: Context[Any]) -> None:
        await ctx.client.join(ROOM)
        await ctx.app.room(ROOM).publish("welcome")

    async with in_memory(app) as server:
        client = await server.connect()
        await client.event("let me in")
        assert [each["event"] for each in client.kept_events()] == ["welcome"]
        assert await code_of(client, **COMMANDS["publish"]) == "forbidden"


async def test_publishing_is_decided_before_a_handler_sees_anything_of_it() -> None:
    app = app_with({"publish": False, "join": True})
    called: list[str] = []

    @app.on("say", room="team/+")
    async def say(ctx: Context[Say]) -> None:
        called.append("handler")

    @app.middleware
    async def around(ctx: Context[Any], call_next: Any) -> Any:
        called.append("middleware")
        return await call_next(ctx)

    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        reply = await client.event("say", ROOM, {"no": "text"})
        assert (reply["code"], called) == ("forbidden", [])


async def test_publishing_is_decided_by_what_is_published() -> None:
    app = app_with({"join": True})
    app.authorize("publish", room=ROOM)(lambda access: access.payload["n"] < 2)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        for payload, answer in [({"n": 1}, "allowed"), ({"n": 2}, "forbidden"), ([], "internal")]:
            command = {**COMMANDS["publish"], "payload": payload}
            assert await code_of(client, **command) == answer


async def test_a_slow_rule_lets_nothing_overtake(autojump_clock: MockClock) -> None:
    app = App(relay=True)

    @app.authorize("publish", room="#")
    async def slow(access: Access) -> bool:
        await trio.sleep(10 if access.payload == 1 else 0)
        return True

    app.authorize("join", room="#")(lambda access: True)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        for number in (1, 2):
            await client.send(type="event", event="say", room=ROOM, payload=number)
        await client.send(type="ping", id=9)
        assert [await client.receive_event("say"), await client.receive_event("say")] == [1, 2]
        assert (await client.receive_type("pong"))["id"] == 9
        assert trio.current_time() >= 10


def test_a_rule_must_name_actions_and_rooms_that_there_are() -> None:
    app = App()
    with pytest.raises(ValueError, match="'fly' is no action"):
        app.authorize("join", "fly", room="#")(lambda access: True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name an action"):
        app.authorize(room="#")(lambda access: True)
    with pytest.raises(InvalidFilter):
        app.authorize("join", room="a#")(lambda access: True)
    with pytest.raises(TypeError, match="must take"):
        app.authorize("join", room="#")(lambda: True)  # type: ignore[type-var]


async def test_rules_come_before_the_app_is_served() -> None:
    app = App()
    async with in_memory(app):
        with pytest.raises(RoomsError, match="before the app is served"):
            app.authorize("join", room="#")


async def test_an_app_that_is_included_brings_its_rules() -> None:
    app = App(relay=True)
    app.include(app_with({"join": False}))
    async with in_memory(app) as server:
        assert await code_of(await server.connect(), **COMMANDS["join"]) == "forbidden"


async def test_an_application_can_ask_what_a_client_may() -> None:
    app = app_with({"join": True, "publish": False}, slow=True)
    async with in_memory(app) as server:
        tester = await server.connect()
        client = app.clients[tester.id]
        asked = [("join", ROOM), ("publish", ROOM), ("history", ROOM), ("history", "lobby")]
        answers = [await client.may(action, room) for action, room in asked]  # type: ignore[arg-type]
        assert answers == [True, False, False, True]


async def test_without_rules_and_grants_there_is_nobody_to_ask() -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        assert server.node.sessions[client.id].guard is None
        assert await app_may(server, client)


async def app_may(server: MemoryServer, client: TestClient) -> bool:
    """Whether a client may read a room's history."""
    return await server.node.clients[client.id].may("history", ROOM)


async def test_a_token_limits_its_bearer_to_what_it_grants() -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        grant(server, client, {"team/1": ["join", "publish"], "news/#": ["subscribe"]})
        codes = {action: await code_of(client, **COMMANDS[action]) for action in ACTIONS}
        assert codes == {
            "join": "allowed",
            "publish": "allowed",
            "subscribe": "forbidden",
            "presence": "forbidden",
            "history": "forbidden",
        }
        assert await code_of(client, type="join", room="lobby") == "forbidden"
        assert await code_of(client, type="subscribe", filter="news/a/#") == "allowed"
        assert await code_of(client, type="subscribe", filter="#") == "forbidden"


async def test_a_rule_can_allow_more_than_a_token_and_can_take_away_what_it_grants() -> None:
    app = App(relay=True)
    app.authorize("join", room="lobby")(lambda access: True)
    app.authorize("join", room="team/2")(lambda access: False)
    app.authorize("join", room="team/3")(lambda access: None)
    async with in_memory(app) as server:
        client = await server.connect()
        grant(server, client, {"team/+": ["join"]})
        codes = [
            await code_of(client, type="join", room=room)
            for room in ("lobby", "team/1", "team/2", "team/3", "other")
        ]
        assert codes == ["allowed", "allowed", "forbidden", "allowed", "forbidden"]
