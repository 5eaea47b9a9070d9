"""What a connection may do is decided anew each time, and who may not stay is taken out."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App
from rooms.core.grants import ACTIONS, Action
from rooms.protocol.frames import TEXT
from rooms.protocol.topics import parse_filter
from rooms.server.guard import RECHECK_SECONDS
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.server.rules import (
    COMMANDS,
    FORBIDDEN_FILTERS,
    LEFT,
    ROOM,
    TRICKS,
    app_with,
    app_with_doors,
    code_of,
    grant,
)
from tests.server.slow_broker import SlowBroker

both = pytest.mark.parametrize("slow", [False, True], ids=["plain", "asynchronous"])


@both
async def test_a_member_is_asked_for_every_command(slow: bool, autojump_clock: MockClock) -> None:
    app, doors = app_with_doors(slow)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        asked = ("publish", "subscribe", "presence", "history")
        assert [await code_of(client, **COMMANDS[each]) for each in asked] == ["allowed"] * 4
        doors.open = False
        assert [await code_of(client, **COMMANDS[each]) for each in asked] == ["forbidden"] * 4
        await app.room(ROOM).publish("say", 2)
        assert [each["payload"] for each in client.kept_events()] == [{"n": 1}]


@both
async def test_who_may_not_stay_is_taken_out_and_told(
    slow: bool, autojump_clock: MockClock
) -> None:
    app, doors = app_with_doors(slow)
    async with in_memory(app) as server:
        client, other = await server.connect(), await server.connect()
        await client.join(ROOM)
        await client.join("lobby")
        await client.request(type="subscribe", filter="team/#")
        await app.room(ROOM).publish("say", "before")
        doors.open = False
        app.recheck()
        await wait_all_tasks_blocked()
        for room in (ROOM, "team/2"):
            await app.room(room).publish("say", "after")
        assert await client.receive_event("say") == "before"
        assert await client.receive_type("left") == LEFT
        assert await client.receive() == {"type": "left", "filter": "team/#", "reason": "forbidden"}
        assert (app.room(ROOM).members, app.clients[client.id].rooms) == ([], ["lobby"])
        await client.send(type="ping", id=1)
        assert (await client.receive())["type"] == "pong"
        assert await code_of(client, **COMMANDS["join"]) == "forbidden"
        await other.close()


async def test_only_the_user_who_is_named_is_asked_about() -> None:
    app, doors = app_with_doors(slow=False)
    async with in_memory(app) as server:
        ana, bob = await server.connect(), await server.connect()
        for client, name in ((ana, "Ana"), (bob, "Bob")):
            await client.request(type="auth", name=name, secret=name)
            await client.join(ROOM)
        doors.open = False
        app.recheck("Ana")
        assert (await ana.receive_type("left")) == LEFT
        assert [each.id for each in app.room(ROOM).members] == [bob.id]


async def test_who_signs_in_with_fewer_rights_is_taken_out() -> None:
    app = App(relay=True)
    async with in_memory(app) as server:
        client = await server.connect()
        grant(server, client, {"team/#": ["join", "subscribe"], "lobby": ["join"]})
        for room in (ROOM, "lobby"):
            await client.join(room)
        await client.request(type="subscribe", filter="team/+")
        grant(server, client, {"team/2": ["join", "subscribe"], "lobby": ["join"]})
        assert await client.receive_type("left") == LEFT
        assert (await client.receive())["filter"] == "team/+"
        assert app.clients[client.id].rooms == ["lobby"]


async def test_a_rule_that_takes_too_long_or_fails_lets_nobody_stay(
    autojump_clock: MockClock,
) -> None:
    app, doors = app_with_doors(slow=True)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        doors.seconds = RECHECK_SECONDS + 1
        app.recheck()
        assert (await client.receive_type("left"))["reason"] == "internal"


async def test_a_join_that_was_allowed_before_a_change_of_rights_is_to_be_asked_for_again(
    autojump_clock: MockClock,
) -> None:
    app, doors = app_with_doors(slow=True)
    doors.seconds = 5
    for command in (COMMANDS["join"], COMMANDS["subscribe"]):
        doors.open = True
        async with in_memory(app) as server:
            client = await server.connect()
            await client.send(**command, id=1)
            await wait_all_tasks_blocked()
            doors.open = False
            app.recheck()
            reply = await client.receive()
            assert (reply["code"], reply["retry_after"]) == ("unavailable", 1.0)
            assert not app.room(ROOM).members
            assert not server.node.sessions[client.id].filters


async def test_history_that_was_allowed_before_a_change_of_rights_is_to_be_asked_for_again() -> (
    None
):
    app, broker, rights = App(relay=True), SlowBroker(), {"history": True}
    app.authorize("join", "history", room=ROOM)(lambda access: rights.get(access.action, True))
    async with in_memory(app, broker=broker) as server:
        client = await server.connect()
        await client.join(ROOM)
        broker.answered["history"].close()
        await client.send(type="history", room=ROOM, id=1)
        await wait_all_tasks_blocked()
        rights["history"] = False
        app.recheck()
        broker.answered["history"].open()
        while (reply := await client.receive()).get("id") != 1:
            pass
        assert reply.get("code") == "unavailable"
        assert await code_of(client, type="history", room=ROOM) == "forbidden"


async def test_rights_that_change_while_they_are_asked_about_are_asked_about_again(
    autojump_clock: MockClock,
) -> None:
    app, doors = app_with_doors(slow=True)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join(ROOM)
        doors.seconds = 5
        app.recheck()  # is told that the doors are open
        await wait_all_tasks_blocked()
        doors.open = False
        app.recheck()
        assert await client.receive_type("left") == LEFT
        assert trio.current_time() == pytest.approx(10)


@pytest.mark.parametrize("text", FORBIDDEN_FILTERS)
@pytest.mark.parametrize("action", ["join", "subscribe"])
async def test_no_filter_reaches_a_room_that_one_may_not_join(text: str, action: Action) -> None:
    app = app_with({action: False}, room=ROOM)
    app.authorize("subscribe", room="#")(lambda access: True)
    async with in_memory(app) as server:
        client = await server.connect()
        assert await code_of(client, type="subscribe", filter=text) == "forbidden"
        assert await code_of(client, type="subscribe", filter="team/2") == "allowed"
        assert await code_of(client, type="subscribe", filter="news/#") == "allowed"


async def test_a_rule_for_subscriptions_answers_for_filters_within_its_own() -> None:
    app = app_with({"subscribe": True}, room="team/#")
    async with in_memory(app) as server:
        client = await server.connect()
        filters = ["team/#", "team/+", "team/1/+", "#", "+/1", "news/#"]
        codes = {text: await code_of(client, type="subscribe", filter=text) for text in filters}
        assert [text for text in filters if codes[text] == "allowed"] == [
            "team/#",
            "team/+",
            "team/1/+",
            "news/#",
        ]


async def test_several_grants_together_do_not_cover_a_filter() -> None:
    async with in_memory(App(relay=True)) as server:
        client = await server.connect()
        grant(server, client, {"team/+": ["subscribe"], "team/+/#": ["subscribe"]})
        assert await code_of(client, type="subscribe", filter="team/#") == "forbidden"
        assert await code_of(client, type="subscribe", filter="team/+/1") == "allowed"


@both
@pytest.mark.parametrize("action", ACTIONS)
async def test_nobody_learns_whether_a_forbidden_room_exists(action: Action, slow: bool) -> None:
    app = app_with(dict.fromkeys(ACTIONS, None), slow=slow)
    async with in_memory(app) as server:
        client, member = await server.connect(), await server.connect()
        nobody_there = await client.request(**COMMANDS[action])
        await app.clients[member.id].join(ROOM)
        await app.room(ROOM).publish("say", 1)
        somebody_there = await client.request(**COMMANDS[action])
        assert nobody_there["code"] == "forbidden"
        assert {**nobody_there, "id": 0} == {**somebody_there, "id": 0}


@pytest.mark.parametrize("name", TRICKS, ids=ascii)
async def test_no_other_spelling_of_a_room_passes_for_it(name: str) -> None:
    app = app_with(dict.fromkeys(ACTIONS, True), room=ROOM)
    app.authorize("join", room="#")(lambda access: True if access.room == ROOM else None)
    async with in_memory(app) as server:
        client, member = await server.connect(), await server.connect()
        await member.join(ROOM)
        for action in ACTIONS:
            place = {"filter": name} if action == "subscribe" else {"room": name}
            code = await code_of(client, **{**COMMANDS[action], **place})
            assert code in ("forbidden", "invalid_name", "invalid_filter")
        assert [each.id for each in app.room(ROOM).members] == [member.id]


@pytest.mark.parametrize("name", TRICKS, ids=ascii)
async def test_no_other_spelling_of_a_room_reaches_it_where_everything_is_open(name: str) -> None:
    app = App(relay=True)
    async with in_memory(app) as server:
        client, member = await server.connect(), await server.connect()
        await member.join(ROOM)
        await client.join(name)
        await client.request(type="subscribe", filter=name)
        await client.event("say", name, 1)
        await member.event("say", ROOM, 2)
        await client.request(type="ping")
        assert [each["payload"] for each in member.kept_events()] == [2]
        assert 2 not in [each["payload"] for each in client.kept_events()]


LEVELS = st.sampled_from(["a", "b"])
NAMES = st.lists(LEVELS, min_size=1, max_size=3).map("/".join)
FILTERS = st.one_of(
    NAMES,
    st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=3).map("/".join),
    st.lists(st.sampled_from(["a", "+"]), max_size=2).map(lambda levels: "/".join([*levels, "#"])),
)
RULES = st.lists(
    st.tuples(
        st.sets(st.sampled_from(["join", "subscribe", "history"]), min_size=1),
        FILTERS,
        st.sampled_from([True, False, None]),
    ),
    max_size=4,
)
ASKED = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["join", "presence", "history"]), NAMES),
        st.tuples(st.just("subscribe"), FILTERS),
    ),
    min_size=1,
    max_size=6,
)


def may(action: str, room: str, rules: list[tuple[set[str], str, bool | None]]) -> bool:
    """Whether rules allow an action, said as plainly as the documentation says it."""
    concerned = [rule for rule in rules if parse_filter(rule[1]).matches(room)]
    answers = [answer for actions, _, answer in concerned if action in actions]
    return False not in answers and (True in answers or not concerned)


@given(rules=RULES, asked=ASKED, room=NAMES)
@settings(max_examples=60, deadline=None)
def test_who_may_not_join_or_hear_a_room_never_gets_anything_of_it(
    rules: list[tuple[set[str], str, bool | None]], asked: list[tuple[str, str]], room: str
) -> None:
    app = App(relay=True)
    for actions, rooms, answer in rules:
        app.authorize(*actions, room=rooms)(  # type: ignore[arg-type]  # they are actions
            lambda access, answer=answer: answer
        )

    async def main() -> list[Any]:
        async with in_memory(app) as server:
            client = await server.connect()
            await app.room(room).publish("secret", "before")
            replies = await ask(client)
            await app.room(room).publish("secret", "after")
            await client.request(type="ping")
            return [*replies, *client.kept_events()]

    async def ask(client: TestClient) -> list[Any]:
        replies = []
        for kind, place in asked:
            key = "filter" if kind == "subscribe" else "room"
            since = {"since": ["", 0]} if kind == "join" else {}
            replies.append(await client.request(type=kind, **{key: place}, **since))
        return replies

    told = str(trio.run(main))
    if "secret" in told:
        assert may("join", room, rules) or may("subscribe", room, rules)
    if not may("history", room, rules):
        assert "before" not in told


async def test_a_member_without_the_right_to_history_recovers_nothing() -> None:
    app = app_with({"join": True}, room=ROOM)
    async with in_memory(app) as server:
        client = await server.connect()
        position = await app.room(ROOM).publish("say", 1)
        since = [position.epoch, 0]
        reply = await client.request(type="join", room=ROOM, since=since, must_recover=True)
        assert (reply["code"], reply["reason"]) == ("unrecoverable", "forbidden")
        reply = await client.request(type="join", room=ROOM, since=since)
        assert (reply["recovered"], reply["reason"]) == (False, "forbidden")
        assert "missed" not in reply


def everything(server: MemoryServer) -> list[str]:
    """The rooms that anybody is in."""
    return sorted(server.node.hub.rooms)


async def test_a_forbidden_join_opens_no_room() -> None:
    async with in_memory(app_with({"join": False}, slow=True)) as server:
        client = await server.connect()
        await client.join(ROOM)
        assert everything(server) == []


@both
async def test_a_plain_rule_is_asked_where_a_command_is_read(slow: bool) -> None:
    async with in_memory(app_with({"join": True, "publish": True}, slow=slow)) as server:
        client = await server.connect()
        await client.join(ROOM)
        session = server.node.sessions[client.id]
        session.receive(TEXT, b'{"type":"event","event":"say","room":"team/1","id":1}')
        assert session.inbox_messages == (1 if slow else 0)
        assert (await client.receive_type("reply"))["id"] == 1
