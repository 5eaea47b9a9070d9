"""What made a server with zaptools fail, tried here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, RequestError
from rooms.testing import in_memory
from tests.seeds.talk import connect, event, say

Ctx = Context[Any]


def zaptools_app(**options: Any) -> App:
    app = App(dialects=["zaptools"], **options)
    app.on("echo")(lambda ctx: ctx.payload)
    return app


async def test_what_a_handler_raised_is_not_shown_and_ends_nothing(
    autojump_clock: MockClock,
) -> None:
    app = zaptools_app()

    @app.on("fail")
    async def fail(ctx: Ctx) -> None:
        raise ValueError("a secret")

    async with in_memory(app) as server:
        client = await connect(server, "/zaptools")
        await say(client, {"eventName": "fail"})
        name, payload = await event(client)
        assert (name, payload["code"], payload["event"]) == ("error", "internal", "fail")
        assert not {"secret", "Traceback"} & set(payload["message"].split())
        await say(client, {"eventName": "echo", "payload": "alive"})
        assert await event(client) == ("echo", "alive")


async def test_what_takes_long_holds_up_nothing_in_a_task_of_its_own(
    autojump_clock: MockClock,
) -> None:
    app = zaptools_app()

    async def answer(ctx: Ctx) -> None:
        await trio.sleep(1)
        await ctx.send("slow", "done")

    app.on("slow")(lambda ctx: ctx.start_soon(answer, ctx))
    async with in_memory(app) as server:
        client = await connect(server, "/zaptools")
        await say(client, {"eventName": "slow"})
        await say(client, {"eventName": "echo", "payload": "after slow"})
        assert await event(client) == ("echo", "after slow")
        assert await event(client) == ("slow", "done")


async def test_a_middleware_says_how_long_a_handler_may_take(autojump_clock: MockClock) -> None:
    app = zaptools_app()

    @app.middleware
    async def in_time(ctx: Ctx, call_next: Callable[[Ctx], Awaitable[Any]]) -> None:
        with trio.move_on_after(5) as scope:
            await call_next(ctx)
        if scope.cancelled_caught:
            raise RequestError("That took too long.")

    @app.on("hang")
    async def hang(ctx: Ctx) -> None:
        await trio.sleep_forever()

    async with in_memory(app) as server:
        client = await connect(server, "/zaptools")
        await say(client, {"eventName": "hang"})
        assert (await event(client))[1]["message"] == "That took too long."
        assert trio.current_time() == pytest.approx(5, abs=0.1)


async def test_a_goodbye_has_a_code_and_a_reason(autojump_clock: MockClock) -> None:
    app = zaptools_app()
    app.on("leave")(lambda ctx: ctx.client.close(4000, "enough"))
    async with in_memory(app) as server:
        client = await connect(server, "/zaptools")
        await say(client, {"eventName": "leave"})
        closed = await client.closing()
        assert (closed.code, closed.reason) == (4000, "enough")


async def test_rooms_are_left_alone_by_each_other(autojump_clock: MockClock) -> None:
    app = zaptools_app(relay=True)
    async with in_memory(app) as server:
        paths = ("/zaptools/a", "/zaptools?room=b")
        clients = [await connect(server, path) for path in paths]
        await wait_all_tasks_blocked()
        assert [app.room(room).count for room in "ab"] == [1, 1]
        await app.room("a").publish("said", "to a")
        await app.room("b").publish("said", "to b")
        assert [await event(client) for client in clients] == [("said", "to a"), ("said", "to b")]


async def test_what_is_kept_of_a_client_is_its_own_and_ends_with_it(
    autojump_clock: MockClock,
) -> None:
    app = zaptools_app()

    @app.on("keep")
    def keep(ctx: Ctx) -> dict[str, Any]:
        before = dict(ctx.client.data)
        ctx.client.data["kept"] = ctx.payload
        return {"id": ctx.client.id, "before": before}

    async with in_memory(app) as server:
        answers = []
        for _ in range(2):
            client = await connect(server, "/zaptools")
            await say(client, {"eventName": "keep", "payload": 1})
            answers.append((await event(client))[1])
            await client.close()
        assert [answer["before"] for answer in answers] == [{}, {}]
        assert answers[0]["id"] != answers[1]["id"]


async def test_who_is_gone_is_in_no_list_and_holds_up_no_broadcast(
    autojump_clock: MockClock,
) -> None:
    app = zaptools_app()
    async with in_memory(app) as server:
        lost, stays = await connect(server, "/zaptools"), await connect(server, "/zaptools")
        await wait_all_tasks_blocked()
        gone = min(app.clients)
        await trio.aclose_forcefully(lost.stream)
        await wait_all_tasks_blocked()
        assert gone not in app.clients
        await app.broadcast("news", 1)
        assert await app.send_to([gone], "news") == 0
        assert await event(stays) == ("news", 1)


def test_to_import_rooms_changes_nothing_in_logging() -> None:
    code = (
        "import logging, structlog, rooms, rooms.server.dispatch\n"
        "assert not logging.root.handlers and logging.root.level == logging.WARNING\n"
        "assert not structlog.is_configured()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
