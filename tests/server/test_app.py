"""What an application registers, and what it can do while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from rooms import App, Context, Disconnect, Event, RequestError, WebSocket
from rooms.errors import InvalidFilter, ReservedName, RoomsError
from rooms.server.app import NotRunning
from rooms.testing import Closed, client_frame, in_memory

Ctx = Context[Any]


class Say(Event):
    text: str


async def test_a_handler_gets_its_payload_typed_and_replies_by_returning() -> None:
    app = App()

    @app.on("say")
    async def say(ctx: Context[Say]) -> dict[str, str]:
        return {"heard": ctx.payload.text}

    async with in_memory(app) as server:
        client = await server.connect()
        assert await client.event("say", payload={"text": "hi"}) == {
            "type": "reply",
            "id": 1,
            "payload": {"heard": "hi"},
        }


async def test_a_plain_function_is_a_handler_too() -> None:
    app = App()

    @app.on("double")
    def double(ctx: Context[int]) -> int:
        return 2 * ctx.payload

    async with in_memory(app) as server:
        client = await server.connect()
        assert (await client.event("double", payload=21))["payload"] == 42


async def test_an_untyped_handler_gets_what_the_json_says() -> None:
    app = App()

    @app.on("show")
    async def show(ctx: Ctx) -> str:
        return repr(ctx.payload)

    async with in_memory(app) as server:
        client = await server.connect()
        reply = await client.event("show", payload={"a": [1, None]})
        assert reply["payload"] == "{'a': [1, None]}"


async def test_a_payload_of_the_wrong_type_is_refused_with_its_place() -> None:
    app = App()

    @app.on("say")
    async def say(ctx: Context[Say]) -> None:
        raise AssertionError("not to be called")

    async with in_memory(app) as server:
        client = await server.connect()
        error = await client.event("say", payload={"text": 5})
        assert error["code"] == "invalid_payload"
        assert "$.text" in error["message"]


async def test_a_handler_that_returns_nothing_still_gets_a_reply_sent() -> None:
    app = App()

    @app.on("quiet")
    async def quiet(ctx: Ctx) -> None: ...

    async with in_memory(app) as server:
        client = await server.connect()
        assert await client.event("quiet") == {"type": "reply", "id": 1}


async def test_a_room_filter_chooses_the_handler_and_members_only_get_there() -> None:
    app = App()

    @app.on("say", room="chat/+")
    async def in_chat(ctx: Context[Say]) -> str:
        assert ctx.room is not None
        await ctx.room.publish("said", {"text": ctx.payload.text})
        return "chat"

    @app.on("say", room="admin/#")
    async def in_admin(ctx: Ctx) -> str:
        return "admin"

    async with in_memory(app) as server:
        client = await server.connect()
        say = {"text": "hi"}
        assert (await client.event("say", "chat/1", say))["code"] == "not_member"
        for room in ("chat/1", "admin", "other"):
            await client.join(room)
        assert (await client.event("say", "chat/1", say))["payload"] == "chat"
        assert await client.receive_event("said") == say
        assert (await client.event("say", "admin", say))["payload"] == "admin"
        assert (await client.event("say", "other", say))["code"] == "unknown_event"
        assert (await client.event("say", None, say))["code"] == "unknown_event"


def test_two_handlers_for_one_event_are_a_mistake_at_import_time() -> None:
    app = App()

    @app.on("say", room="chat/+")
    async def first(ctx: Ctx) -> None: ...

    with pytest.raises(ValueError, match=r"'say' has two handlers: .*first and .*second"):

        @app.on("say", room="chat/lobby")
        async def second(ctx: Ctx) -> None: ...

    @app.on("connected")
    async def hello(ctx: Ctx) -> None: ...

    with pytest.raises(ValueError, match="'connected' has a handler"):
        app.on("connected")(hello)


def test_names_that_no_client_can_send_are_refused_at_import_time() -> None:
    app = App()

    async def handler(ctx: Ctx) -> None: ...

    async def careless() -> None: ...

    with pytest.raises(ReservedName):
        app.on("error")(handler)
    with pytest.raises(InvalidFilter):
        app.on("say", room="a#")(handler)
    with pytest.raises(TypeError, match="must take a context"):
        app.on("say")(careless)


async def test_relaying_needs_to_be_asked_for() -> None:
    for relay, wanted in ((False, "error"), (True, "reply")):
        async with in_memory(App(relay=relay)) as server:
            client = await server.connect()
            await client.join("lobby")
            answer = await client.event("say", "lobby", {"text": "hi"})
            assert answer["type"] == wanted


async def test_a_relay_publishes_for_members_only_and_names_the_sender() -> None:
    async with in_memory(App(relay=True)) as server:
        ana, bob = await server.connect(), await server.connect()
        assert (await ana.event("say", "lobby", 1))["code"] == "not_member"
        assert (await ana.event("say", None, 1))["code"] == "unknown_event"
        await bob.join("lobby")
        epoch, offset = (await ana.join("lobby"))["position"]
        reply = await ana.event("say", "lobby", {"text": "hi"})
        assert reply["position"] == [epoch, offset + 1]
        for client in (ana, bob):
            delivered = await client.receive_type("event")
            assert delivered == {
                "type": "event",
                "event": "say",
                "room": "lobby",
                "payload": {"text": "hi"},
                "from": {"client": ana.id},
                "position": reply["position"],
            }


async def test_a_fallback_handles_what_no_other_handler_does() -> None:
    part, app = App(), App(relay=True)

    @part.fallback
    def any_event(ctx: Ctx) -> list[Any]:
        return [ctx.event, ctx.payload, ctx.room and ctx.room.name]

    app.on("known")(lambda ctx: "known")
    app.include(part)
    with pytest.raises(ValueError, match=r"two fallbacks: .*any_event and .*any_event"):
        app.include(part)
    async with in_memory(app) as server:
        client = await server.connect()
        assert (await client.event("known"))["payload"] == "known"
        assert (await client.event("odd", None, 1))["payload"] == ["odd", 1, None]
        assert (await client.event("odd", "lobby", 1))["code"] == "not_member"
        await client.join("lobby")
        assert (await client.event("odd", "lobby", 1))["payload"] == ["odd", 1, "lobby"]
        assert (await client.event("connected"))["code"] == "reserved_name"
        assert (await client.event("a\n"))["code"] == "invalid_name"


async def test_what_is_decorated_stays_what_it_was() -> None:
    app = App()

    def handler(ctx: Ctx) -> None: ...

    async def endpoint(ws: WebSocket) -> None: ...

    assert app.on("say")(handler) is handler
    assert app.on("connected")(handler) is handler
    assert app.fallback(handler) is handler
    assert app.websocket("/here")(endpoint) is endpoint


async def test_middleware_wraps_every_event_relayed_ones_too() -> None:
    app = App(relay=True)
    seen = []

    @app.middleware
    async def outer(ctx: Ctx, call_next: Callable[[Ctx], Awaitable[Any]]) -> Any:
        seen.append(f"outer {ctx.event}")
        await call_next(ctx)

    @app.middleware
    async def inner(ctx: Ctx, call_next: Callable[[Ctx], Awaitable[Any]]) -> Any:
        seen.append(f"inner {ctx.event}")
        if ctx.event == "secret":
            raise RequestError("not for you")
        await call_next(ctx)

    @app.on("ask")
    def ask(ctx: Ctx) -> str:
        return "answer"

    async with in_memory(app) as server:
        client = await server.connect()
        await client.join("lobby")
        assert (await client.event("ask"))["payload"] == "answer"
        assert "position" in await client.event("say", "lobby", 1)
        assert (await client.event("secret", "lobby"))["message"] == "not for you"
    assert seen == [
        f"{place} {event}" for event in ("ask", "say", "secret") for place in ("outer", "inner")
    ]


async def test_a_failing_handler_is_answered_and_the_connection_lives() -> None:
    app = App()

    @app.on("fail")
    async def fail(ctx: Ctx) -> None:
        raise ZeroDivisionError("a secret detail")

    @app.on("fail_now")
    def fail_now(ctx: Ctx) -> None:
        raise ZeroDivisionError("a secret detail")

    @app.on("exit")
    async def leave(ctx: Ctx) -> None:
        raise SystemExit(3)

    @app.on("exit_in_a_nursery")
    async def leave_nursery(ctx: Ctx) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave, ctx)

    @app.on("unsayable")
    async def unsayable(ctx: Ctx) -> object:
        return object()

    async with in_memory(app) as server:
        client = await server.connect()
        for event in ("fail", "fail_now", "exit", "exit_in_a_nursery", "unsayable"):
            error = await client.event(event)
            assert error["code"] == "internal"
            assert "secret" not in error["message"]
        assert (await client.request(type="ping"))["type"] == "pong"


async def test_an_error_handler_answers_for_the_errors_of_its_kind() -> None:
    app = App()

    @app.on_error(LookupError)
    async def missing(ctx: Ctx, error: LookupError) -> dict[str, str]:
        return {"missing": str(error.args[0])}

    @app.on("find")
    async def find(ctx: Context[str]) -> None:
        raise KeyError(ctx.payload)

    @app.on("fail")
    async def fail(ctx: Ctx) -> None:
        raise ValueError

    with pytest.raises(ValueError, match="error handler already"):
        app.on_error(LookupError)(lambda ctx, error: None)
    async with in_memory(app) as server:
        client = await server.connect()
        assert (await client.event("find", payload="x"))["payload"] == {"missing": "x"}
        assert (await client.event("fail"))["code"] == "internal"


async def test_a_disconnect_raised_by_a_handler_ends_the_connection() -> None:
    app = App()

    @app.on("leave")
    async def leave(ctx: Ctx) -> None:
        raise Disconnect("enough", 4001)

    async with in_memory(app) as server:
        client = await server.connect()
        await client.send(type="event", event="leave")
        closed = await client.closing()
        assert (closed.code, closed.reason) == (4001, "enough")


async def test_an_included_app_brings_its_handlers_with_a_prefix() -> None:
    app, part = App(), App()
    seen = []

    @part.on("say")
    async def say(ctx: Ctx) -> str:
        return "said"

    @part.on("connected")
    async def part_connected(ctx: Ctx) -> None:
        seen.append("part")

    @app.on("connected")
    async def app_connected(ctx: Ctx) -> None:
        seen.append("app")

    app.include(part, prefix="chat.")
    async with in_memory(app) as server:
        client = await server.connect()
        assert (await client.event("chat.say"))["payload"] == "said"
        assert (await client.event("say"))["code"] == "unknown_event"
    assert seen == ["app", "part"]
    with pytest.raises(ValueError, match="two handlers"):
        app.include(part, prefix="chat.")


async def test_the_lifespan_is_entered_before_and_left_after_all_connections() -> None:
    steps = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        steps.append("start")
        yield
        steps.append("stop")

    app = App(lifespan=lifespan)

    @app.on("connected")
    async def connected(ctx: Ctx) -> None:
        steps.append("connected")

    async with in_memory(app) as server:
        await server.connect()
    assert steps == ["start", "connected", "stop"]


async def test_an_app_that_does_not_run_says_so_and_runs_once_at_a_time() -> None:
    app = App()
    with pytest.raises(NotRunning):
        app.room("lobby")
    async with in_memory(app):
        with pytest.raises(RoomsError, match="already"):
            async with app.running():
                pass
    async with in_memory(app):
        assert app.room_names == []


async def test_two_apps_in_one_process_share_nothing() -> None:
    first, second = App(relay=True), App(relay=True)
    async with in_memory(first) as one, in_memory(second) as two:
        ana, bob = await one.connect(), await two.connect()
        await ana.join("lobby")
        await bob.join("lobby")
        await ana.event("say", "lobby", 1)
        assert first.room("lobby").position != second.room("lobby").position
        assert [client.id for client in second.clients.values()] == [bob.id]
        first.on("late")(lambda ctx: None)
        assert (await bob.event("late"))["code"] == "unknown_event"


async def test_the_server_speaks_to_all_to_some_and_to_one() -> None:
    app = App()
    async with in_memory(app) as server:
        clients = [await server.connect() for _ in range(3)]
        await app.broadcast("all", 1)
        assert await app.send_to([clients[0].id, clients[2].id, "nobody"], "some", 2) == 2
        await app.clients[clients[1].id].send("one", 3)
        got = [[await client.receive(), await client.receive()] for client in clients]
        names = [[message["event"] for message in messages] for messages in got]
        assert names == [["all", "some"], ["all", "one"], ["all", "some"]]


async def test_the_server_speaks_to_all_but_some() -> None:
    app = App()
    async with in_memory(app) as server:
        clients = [await server.connect() for _ in range(3)]
        await app.broadcast("most", exclude=[clients[1].id])
        await app.broadcast("all")
        got = [(await client.receive_type("event"))["event"] for client in clients]
        assert got == ["most", "all", "most"]


async def test_the_server_moves_and_closes_clients() -> None:
    app = App()
    async with in_memory(app) as server:
        client = await server.connect()
        handle = app.clients[client.id]
        await handle.join("lobby")
        await handle.join("lobby")
        assert handle.rooms == ["lobby"]
        assert app.room("lobby").members == [handle]
        assert app.room("lobby").count == 1
        await handle.leave("lobby")
        await handle.leave("lobby")
        assert app.room_names == []
        with pytest.raises(ValueError, match="1005"):
            handle.close(1005)
        handle.close(3503, "go away")
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3503, "go away")


async def test_a_room_is_published_to_and_listened_to_without_a_connection() -> None:
    app = App(relay=True)
    async with in_memory(app) as server, app.room("lobby").subscribe() as events:
        client = await server.connect()
        await client.join("lobby")
        position = await app.room("lobby").publish("news", {"n": 1})
        await client.event("say", "lobby", "hi")
        first, second = await events.receive(), await events.receive()
        assert (first.event, first.payload, first.sender) == ("news", {"n": 1}, None)
        assert first.position == position
        assert second.sender is not None
        assert second.sender.client == client.id
        assert await client.receive_event("news") == {"n": 1}
    with pytest.raises(trio.ClosedResourceError):
        await events.receive()


async def test_a_payload_that_python_cannot_hold_reaches_members_and_spares_subscribers() -> None:
    app = App(relay=True)
    async with in_memory(app) as server, app.room("lobby").subscribe() as events:
        client = await server.connect()
        await client.join("lobby")
        for payload in ("1e999", "1"):
            frame = f'{{"type":"event","event":"n","room":"lobby","payload":{payload},"id":1}}'
            await client.send_raw(client_frame(frame))
        assert (await events.receive()).payload == 1


async def test_a_subscriber_that_does_not_read_loses_the_oldest_events() -> None:
    app = App()
    async with in_memory(app), app.room("lobby").subscribe() as events:
        for n in range(300):
            await app.room("lobby").publish("n", n)
        assert (await events.receive()).payload == 300 - 256


async def test_a_task_started_by_a_handler_ends_with_its_connection() -> None:
    app = App()
    ended = trio.Event()

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    @app.on("start")
    async def start(ctx: Ctx) -> None:
        ctx.start_soon(forever)

    async with in_memory(app) as server:
        client = await server.connect()
        await client.event("start")
        await client.close()
        await ended.wait()


async def test_a_connected_handler_may_refuse_and_a_failing_one_ends_the_connection() -> None:
    for error, code in ((Disconnect("full", 4001), 4001), (ValueError(), 1011)):
        app = App()
        gone: list[str] = []

        @app.on("connected")
        async def connected(ctx: Ctx, error: Exception = error) -> None:
            raise error

        @app.on("disconnected")
        async def disconnected(ctx: Ctx, gone: list[str] = gone) -> None:
            gone.append(ctx.client.id)

        async with in_memory(app) as server:
            client = await server.connect()
            with pytest.raises(Closed) as closed:
                await client.receive()
            assert closed.value.code == code
        assert gone == [client.id]


async def test_how_rooms_are_kept_is_said_before_any_is_open() -> None:
    app = App()
    async with in_memory(app):
        with pytest.raises(RoomsError, match="before the app is served"):
            app.rooms("#", history=0)
