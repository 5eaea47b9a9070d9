"""Room tokens: `join` with a token that the server has made for that room."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Authenticator, Credentials, Identity, Settings, User
from rooms.core.grants import parse_grants
from rooms.errors import Refused
from rooms.server.auth import Anonymous
from rooms.testing import MemoryServer, TestClient, in_memory
from tests.server.rules import COMMANDS, ROOM, code_of

ALL = ["join", "publish", "history"]


class Desk(Authenticator):
    """Knows its tokens by heart."""

    def __init__(self) -> None:
        self.tokens: dict[str, Identity] = {}

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return who has the token."""
        if credentials.token is None:
            return None
        if credentials.token not in self.tokens:
            raise Refused("no such token")
        return self.tokens[credentials.token]

    def make(self, name: str, rooms: Any, user: str = "ana", seconds: float | None = None) -> None:
        """Make a token."""
        self.tokens[name] = Identity(
            user=User(user),
            grants=None if rooms is None else parse_grants(rooms),
            expires_at=None if seconds is None else time.time() + seconds,
        )


@pytest.fixture
def desk() -> Desk:
    """Return a desk with a token for everything that tests do in the room."""
    desk = Desk()
    desk.make("pass", {ROOM: ALL})
    return desk


def closed_app(desk: Desk) -> App:
    """Return an app whose team rooms are closed to all who have no token."""
    app = App(relay=True, auth=[desk, Anonymous()])
    app.authorize("join", room="team/#")(lambda access: None)
    return app


async def join(client: TestClient, token: str, room: str = ROOM) -> str:
    """Join with a token, and return the code of the error or that there was none."""
    return await code_of(client, type="join", room=room, token=token)


async def signed_in(server: MemoryServer, token: str) -> TestClient:
    """Return a client that has signed in with a token."""
    client = await server.connect()
    assert await code_of(client, type="auth", token=token) == "allowed"
    return client


async def test_a_room_token_allows_in_its_room_what_it_says(desk: Desk) -> None:
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        assert await code_of(client, **COMMANDS["join"]) == "forbidden"
        assert await join(client, "pass") == "allowed"
        codes = [await code_of(client, **COMMANDS[each]) for each in ("publish", "history")]
        assert codes == ["allowed", "allowed"]
        assert await code_of(client, **COMMANDS["presence"]) == "forbidden"
        assert await code_of(client, type="join", room="team/2") == "forbidden"


async def test_a_room_token_counts_only_in_the_room_that_it_was_shown_for(desk: Desk) -> None:
    desk.make("wide", {"#": ALL})
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        assert await join(client, "wide") == "allowed"
        assert await code_of(client, type="join", room="team/2") == "forbidden"
        assert await code_of(client, type="subscribe", filter="#") == "forbidden"


async def test_a_room_token_limits_nobody_elsewhere(desk: Desk) -> None:
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        await join(client, "pass")
        assert await code_of(client, type="join", room="lobby") == "allowed"


async def test_a_rule_outweighs_a_room_token(desk: Desk) -> None:
    app = closed_app(desk)
    app.authorize("join", room=ROOM)(lambda access: False)
    async with in_memory(app) as server:
        assert await join(await server.connect(), "pass") == "forbidden"


@pytest.mark.parametrize(
    ("rooms", "code"),
    [({"team/2": ["join"]}, "forbidden"), ({ROOM: ["publish"]}, "forbidden"), (None, "forbidden")],
)
async def test_a_token_for_something_else_is_refused(rooms: Any, code: str, desk: Desk) -> None:
    desk.make("other", rooms)
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        assert await join(client, "other") == code
        assert await code_of(client, **COMMANDS["publish"]) == "forbidden"


async def test_a_token_that_nobody_knows_or_that_has_expired_is_refused(desk: Desk) -> None:
    desk.make("old", {ROOM: ALL}, seconds=-1)
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        assert await join(client, "forged") == "unauthorized"
        assert await join(client, "old") == "unauthorized"
    async with in_memory(App(relay=True)) as server:
        assert await join(await server.connect(), "pass") == "unauthorized"


async def test_a_room_token_of_another_user_is_refused(desk: Desk) -> None:
    desk.make("ana", None)
    desk.make("ben", None, user="ben")
    async with in_memory(closed_app(desk)) as server:
        assert await join(await signed_in(server, "ben"), "pass") == "forbidden"
        assert await join(await signed_in(server, "ana"), "pass") == "allowed"


async def test_a_room_token_adds_to_what_the_sign_in_grants(desk: Desk) -> None:
    desk.make("ana", {"lobby": ["join"]})
    async with in_memory(closed_app(desk)) as server:
        client = await signed_in(server, "ana")
        assert await code_of(client, **COMMANDS["join"]) == "forbidden"
        assert await join(client, "pass") == "allowed"
        assert await code_of(client, type="join", room="lobby") == "allowed"


async def test_when_a_room_token_expires_its_bearer_is_taken_out(
    desk: Desk, autojump_clock: MockClock
) -> None:
    for number, seconds in ((1, 60), (2, 30)):
        desk.make(f"pass {number}", {f"team/{number}": ALL}, seconds=seconds)
    app = closed_app(desk)
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join("lobby")
        assert await join(client, "pass 1", "team/1") == "allowed"
        assert await join(client, "pass 2", "team/2") == "allowed"
        for room, at in (("team/2", 30), ("team/1", 60)):
            left = await client.receive_type("left")
            assert left == {"type": "left", "room": room, "reason": "token_expired"}
            assert trio.current_time() == pytest.approx(at, abs=1)
            await app.room(room).publish("secret")
            assert await code_of(client, type="join", room=room) == "forbidden"
        assert client.kept_events() == []
        assert app.clients[client.id].rooms == ["lobby"]


async def test_a_member_that_shows_a_new_room_token_in_time_stays(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.make("pass", {ROOM: ALL}, seconds=60)
    desk.make("next", {ROOM: ALL}, seconds=600)
    app = closed_app(desk)
    async with in_memory(app) as server:
        client = await server.connect()
        await join(client, "pass")
        reply = await client.request(type="join", room=ROOM, token="next")
        assert reply == {"type": "reply", "id": reply["id"], "room": ROOM}
        assert (await client.receive_type("left"))["room"] == ROOM
        assert trio.current_time() == pytest.approx(600, abs=1)


async def test_who_leaves_takes_the_room_token_along(desk: Desk, autojump_clock: MockClock) -> None:
    desk.make("pass", {ROOM: ALL}, seconds=60)
    async with in_memory(closed_app(desk)) as server:
        client = await server.connect()
        for _ in range(3):
            await join(client, "pass")
            await client.request(type="leave", room=ROOM)
        assert await code_of(client, **COMMANDS["join"]) == "forbidden"
        await wait_all_tasks_blocked()
        assert not server.node.sessions[client.id].tasks


async def test_there_is_one_room_token_for_each_room_at_most(desk: Desk) -> None:
    desk.make("wide", {"#": ALL})
    async with in_memory(closed_app(desk), Settings(rooms_per_client=2)) as server:
        client = await server.connect()
        codes = [await join(client, "wide", f"team/{number}") for number in range(4)]
        assert codes == ["allowed", "allowed", "limit_exceeded", "limit_exceeded"]
