"""What is tried with tickets, rights, dialects and endpoints of others, over real sockets."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from rooms import App, WebSocket
from rooms.core.grants import ACTIONS, parse_grants
from rooms.testing import TestClient, client_frame
from tests.server.hostile.town import town
from tests.server.rules import COMMANDS, FORBIDDEN_FILTERS, ROOM, TRICKS, code_of
from tests.server.signing import Club, bearer, end_of, offered


async def test_a_ticket_is_of_one_user_for_one_connection_and_for_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with town(Club().app, ticket_seconds=5) as place:
        used, old, dropped = [await place.ticket("ana") for _ in range(3)]
        thief = await place.knock(bearer("ben"), f"/ws?ticket={used}")
        assert (await thief.receive())["user"]["id"] == "ana"  # and nothing of Ben's
        assert await code_of(thief, type="auth", token="ben") == "unauthorized"
        for wrong in (used, used[:-1], used + "%00", "", "*"):
            assert await place.status(bearer("ben"), f"/ws?ticket={wrong}") == 401
        later = time.time() + 5
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: later)
            assert await place.status(path=f"/ws?ticket={old}") == 401
        place.server.node.app.logout("ana")
        assert await place.status(path=f"/ws?ticket={dropped}") == 401


# Rooms.


async def test_a_token_opens_no_room_but_those_that_it_names() -> None:
    club = Club()
    rooms = parse_grants({ROOM: ["join", "publish"], "lobby": list(ACTIONS)})
    club.tokens.add("some", grants=rooms)
    async with town(club.app, http=False, errors_in_a_row=1000) as place:
        client = await place.enter(bearer("some"))
        await place.server.node.app.room("team/2").publish("secret")
        for action in ("subscribe", "presence", "history"):
            assert await code_of(client, **COMMANDS[action]) == "forbidden"
        for text in FORBIDDEN_FILTERS:
            assert await code_of(client, type="subscribe", filter=text) == "forbidden"
        for name in ("team/2", "team", *TRICKS):
            assert await code_of(client, type="join", room=name) in ("forbidden", "invalid_name")
            publish: dict[str, Any] = COMMANDS["publish"] | {"room": name}
            assert await code_of(client, **publish) in ("forbidden", "invalid_name")
        assert place.server.node.app.room_names == []
        assert await code_of(client, **COMMANDS["join"]) == "allowed"
        assert await code_of(client, **COMMANDS["publish"]) == "allowed"


async def test_after_its_end_a_token_is_good_for_nothing() -> None:
    club = Club()
    club.tokens.add("short", seconds=0.3)
    club.tokens.add("room", seconds=0.3, grants=parse_grants({ROOM: ["join", "publish"]}))
    club.tokens.add("none", grants=parse_grants({}))
    async with town(club.app, http=False) as place:
        guest, member = await place.enter(bearer("short")), await place.enter(bearer("none"))
        await guest.join(ROOM)
        assert await code_of(member, **COMMANDS["join"], token="room") == "allowed"
        left = await member.receive_type("left")
        assert left == {"type": "left", "room": ROOM, "reason": "token_expired"}
        await place.server.node.app.room(ROOM).publish("secret")
        assert await code_of(member, **COMMANDS["publish"]) == "forbidden"
        assert await code_of(member, **COMMANDS["join"]) == "forbidden"
        assert await code_of(member, **COMMANDS["join"], token="room") == "unauthorized"
        assert [event for event in member.kept_events() if event["event"] == "secret"] == []
        assert (await end_of(guest))[0] == 3005
        assert await place.status(bearer("short")) == 401


# Dialects and endpoints of one's own.


async def said(client: TestClient, *messages: Any) -> list[Any]:
    """Say something, and return as many answers."""
    for message in messages:
        text = message if isinstance(message, bytes) else msgspec.json.encode(message)
        await client.send_raw(client_frame(text))
    return [await client.message() for _ in messages]


async def test_no_dialect_leads_past_the_rules() -> None:
    app = App(relay=True, dialects=["native", "fdw", "zaptools", "tranzit"])
    app.authorize("join", "publish", room="#")(lambda access: False)
    async with town(app, http=False) as place:
        fdw = await place.knock(path="/fdw/eve")
        assert b"may not join" in await fdw.message()  # the room of all connections
        answers = await said(
            fdw,
            {"type": "send", "topic": ROOM, "text": "hi"},
            {"type": "broadcast", "text": "hi"},
            {"type": "subscribe", "topic": ROOM},
            {"type": "subscribe", "topic": "#"},
            {"type": "send_by_conn_id", "conn_id": "ana", "text": "hi"},
        )
        assert all(answer.startswith(b'{"error":') for answer in answers)
        for path, message in (
            (f"/zaptools/{ROOM}", {"eventName": "say", "payload": 1}),
            ("/zaptools", {"eventName": "rooms:subscribe", "payload": {"filter": "#"}}),
            (f"/tranzit/{ROOM}", b"say|hi"),
        ):
            client = await place.knock(path=path)
            if ROOM in path:
                assert b"forbidden" in await client.message()
            assert b"forbidden" in (await said(client, message))[0]
        assert app.room_names == []


@pytest.mark.parametrize("path", ["/own", "/fdw/ana", "/tranzit", "/zaptools"])
async def test_all_that_speaks_websocket_is_behind_the_same_door(path: str) -> None:
    club = Club(dialects=["fdw", "zaptools", "tranzit"])
    ran: list[str] = []

    @club.app.websocket("/own")
    async def own(ws: WebSocket) -> None:
        ran.append(ws.id)
        await ws.receive()

    club.tokens.add("ten", seconds=60)
    async with town(club.app, http=False) as place:
        evil = "Origin: https://evil.example\r\n"
        assert await place.status(bearer("ana") + evil, path) == 403
        assert await place.status(bearer("no"), path) == 401
        assert await place.status(f"Sec-WebSocket-Protocol: {offered('no')}\r\n", path) == 401
        if path != "/zaptools":  # which can sign in later
            assert await place.status(path=path) == 401
        assert (ran, club.happened) == ([], [])
        client = await place.knock(bearer("ten"), path)
        assert club.app.revoke(token_id="ten") == 1
        assert (await end_of(client))[0] == 3500
        assert await place.status(bearer("ten"), path) == 401
