"""The protocol's own commands, frame by frame."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from rooms import App, Settings
from rooms.testing import TestClient, client_frame, in_memory


async def _presence(client: TestClient) -> dict[str, Any]:
    return await client.receive_type("presence")


async def test_the_greeting_tells_what_a_client_may_count_on() -> None:
    settings = Settings(message_bytes=1000, rooms_per_client=3, ping_seconds=7)
    async with in_memory(App(), settings) as server:
        client = TestClient(server.open_stream())
        await client.handshake()
        assert await client.receive() == {
            "type": "welcome",
            "client": "c1",
            "user": None,
            "ping": 7,
            "limits": {"message": 1000, "rooms": 3},
        }


async def test_joining_tells_who_is_there_and_tells_them(autojump_clock: object) -> None:
    async with in_memory(App(guests=True)) as server:
        ana, bob = await server.connect(), await server.connect()
        await ana.request(type="auth", name="Ana", secret="a")
        reply = await ana.join("lobby")
        assert reply["presence"] == {"Ana": [{"client": ana.id}]}
        assert reply["count"] == 1
        assert (await _presence(ana))["joined"] == {"Ana": [{"client": ana.id}]}
        reply = await bob.join("lobby")
        assert reply["presence"] == {"Ana": [{"client": ana.id}], bob.id: [{"client": bob.id}]}
        change = await _presence(ana)
        assert change == {
            "type": "presence",
            "room": "lobby",
            "joined": {bob.id: [{"client": bob.id}]},
            "left": {},
            "count": 2,
            "position": reply["position"],
        }
        await bob.close()
        change = await _presence(ana)
        assert (change["left"], change["count"]) == ({bob.id: [{"client": bob.id}]}, 1)


async def test_a_user_joins_with_the_first_and_leaves_with_the_last_connection(
    autojump_clock: object,
) -> None:
    async with in_memory(App(guests=True)) as server:
        watcher = await server.connect()
        await watcher.join("lobby")
        await _presence(watcher)
        tabs = [await server.connect() for _ in range(2)]
        for tab in tabs:
            await tab.request(type="auth", name="Ana", secret="a")
            reply = await tab.join("lobby")
        assert reply["presence"]["Ana"] == [{"client": tab.id} for tab in tabs]
        assert set((await _presence(watcher))["joined"]) == {"Ana"}
        await tabs[0].close()
        await trio.sleep(1)
        await tabs[1].request(type="leave", room="lobby")
        change = await _presence(watcher)
        assert set(change["left"]) == {"Ana"}


async def test_presence_can_be_asked_for_by_members() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        assert (await client.request(type="presence", room="lobby"))["code"] == "not_member"
        await client.join("lobby")
        reply = await client.request(type="presence", room="lobby")
        assert (reply["presence"], reply["count"]) == ({client.id: [{"client": client.id}]}, 1)


async def test_lists_of_presence_are_capped_and_counts_are_exact(autojump_clock: object) -> None:
    async with in_memory(App()) as server:
        for _ in range(105):
            client = await server.connect()
            reply = await client.join("lobby")
        assert (len(reply["presence"]), reply["count"]) == (100, 105)


async def test_leaving_ends_delivery_and_leaving_twice_is_an_error() -> None:
    async with in_memory(App(relay=True)) as server:
        ana, bob = await server.connect(), await server.connect()
        await ana.join("lobby")
        await bob.join("lobby")
        reply = await bob.request(type="leave", room="lobby")
        assert reply["room"] == "lobby"
        await ana.event("say", "lobby", 1)
        assert (await bob.request(type="leave", room="lobby"))["code"] == "not_member"
        assert bob.kept_events() == []


async def test_joining_twice_is_an_error_and_changes_nothing() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        await client.join("lobby")
        assert (await client.join("lobby"))["code"] == "already_joined"
        assert (await client.request(type="leave", room="lobby"))["type"] == "reply"


async def test_a_room_without_history_is_forgotten_when_everybody_left() -> None:
    app = App()
    async with in_memory(app, Settings(history_messages=0)) as server:
        client = await server.connect()
        first = await client.join("lobby")
        await client.request(type="leave", room="lobby")
        assert app.room_names == []
        assert (await client.join("lobby"))["position"][0] != first["position"][0]


async def test_a_connection_can_be_in_so_many_rooms_only() -> None:
    async with in_memory(App(), Settings(rooms_per_client=2)) as server:
        client = await server.connect()
        await client.join("a")
        await client.join("b")
        assert (await client.join("c"))["code"] == "limit_exceeded"
        await client.request(type="leave", room="a")
        assert (await client.join("c"))["type"] == "reply"


async def test_names_are_checked_where_they_come_in() -> None:
    app = App(relay=True)
    async with in_memory(app) as server:
        client = await server.connect()
        bad = {"": "invalid_name", "x" * 256: "invalid_name", "a\u0000": "invalid_name"}
        bad |= {"e\u0301": "invalid_name", "a/+": "invalid_name", "#": "invalid_name"}
        bad |= {"$SYS": "reserved_name", "__proto__": "reserved_name"}
        for room, code in bad.items():
            assert (await client.join(room))["code"] == code, room
        await client.join("lobby")
        for event in ("connected", "disconnected", "error", "__proto__", "$x"):
            assert (await client.event(event, "lobby"))["code"] == "reserved_name"
        assert app.room_names == ["lobby"]


async def test_a_guest_keeps_a_name_while_connected_and_shares_it_with_nobody() -> None:
    async with in_memory(App(guests=True)) as server:
        ana, other = await server.connect(), await server.connect()
        reply = await ana.request(type="auth", name="Ana", secret="a")
        assert reply["user"] == {"id": "Ana", "name": "Ana"}
        taken = await other.request(type="auth", name="ana", secret="b")
        assert taken["code"] == "name_taken"
        assert (await ana.request(type="auth", name="X", secret="a"))["code"] == "unauthorized"
        await ana.close()
        assert (await other.request(type="auth", name="ana", secret="b"))["type"] == "reply"


async def test_a_guest_needs_a_secret_and_a_name_that_no_connection_has() -> None:
    async with in_memory(App(guests=True)) as server:
        client = await server.connect()
        bare = await client.request(type="auth", name="Ana")
        assert bare["code"] == "unauthorized"
        taken = await client.request(type="auth", name="C8", secret="a")
        assert taken["code"] == "reserved_name"


async def test_nobody_signs_in_where_nobody_is_asked_to() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        assert (await client.request(type="auth", name="Ana"))["code"] == "unauthorized"
        assert (await client.request(type="auth", token="t"))["code"] == "unauthorized"


async def test_a_ping_is_answered_with_its_id_if_it_has_one() -> None:
    async with in_memory(App()) as server:
        client = await server.connect()
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}
        assert await client.request(type="ping") == {"type": "pong", "id": 1}


async def test_a_malformed_frame_is_answered_and_too_many_end_the_connection() -> None:
    async with in_memory(App(), Settings(errors_in_a_row=2)) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send_raw(client_frame("[1]"))
            assert (await client.receive())["code"] == "malformed"
        await client.send(type="ping")
        for _ in range(3):
            await client.send_raw(client_frame('{"type":"dance","id":9}'))
        assert await client.receive_type("error") == {
            "type": "error",
            "id": 9,
            "code": "unknown_command",
            "message": (
                "Invalid value 'dance' - at `$.type`. See the protocol for the types there are."
            ),
        }
        assert (await client.closing()).code == 3509


async def test_commands_are_answered_in_the_order_in_which_they_came() -> None:
    app = App(relay=True)
    go_on = trio.Event()

    @app.on("slow")
    async def slow(ctx: Any) -> str:
        await go_on.wait()
        return "slow"

    async with in_memory(app) as server:
        client = await server.connect()
        await client.send(type="event", event="slow", id=1)
        await client.send(type="join", room="lobby", id=2)
        await client.send(type="event", event="say", room="lobby", payload=1, id=3)
        await trio.testing.wait_all_tasks_blocked()
        assert app.room_names == []
        go_on.set()
        order = [await client.receive() for _ in range(4)]
        assert [message.get("id", message["type"]) for message in order] in (
            [1, 2, "event", 3],
            [1, 2, 3, "event"],
        )
