"""What made a server with fastapi-distributed-websocket fail, tried here."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Context, Disconnect, RequestError, RoomsError, Settings
from rooms.brokers.base import Broker
from rooms.brokers.memory import MemoryBroker
from rooms.brokers.urls import make_broker
from rooms.testing import Refused, TestClient, in_memory
from tests.seeds.talk import connect, hear_json, say
from tests.server.signing import Club

Ctx = Context[Any]


def fdw_app(**options: Any) -> App:
    return App(dialects=["fdw"], relay=True, **options)


@pytest.mark.parametrize("topic", ["a" * 2000, "+/" * 1000, "a/" * 1000 + "#", "", None, 5, ["a"]])
async def test_a_topic_that_is_none_is_answered_and_silences_nobody(
    topic: object, autojump_clock: MockClock
) -> None:
    async with in_memory(fdw_app()) as server:
        ana, ben = await connect(server, "/fdw/ana"), await connect(server, "/fdw/ben")
        for kind in ("subscribe", "send"):
            await say(ana, {"type": kind, "topic": topic, "msg": "x"})
            assert list(await hear_json(ana)) == ["error"]
        await say(ana, {"type": "broadcast", "msg": "hi"})
        assert [await hear_json(client) for client in (ana, ben)] == [{"msg": "hi"}] * 2


async def test_a_topic_may_have_one_level_and_comes_once_whatever_names_it(
    autojump_clock: MockClock,
) -> None:
    async with in_memory(fdw_app()) as server:
        ana = await connect(server, "/fdw/ana")
        for topic in ("news", "+", "#"):
            await say(ana, {"type": "subscribe", "topic": topic})
        await say(ana, {"type": "send", "topic": "news", "n": 1})
        await say(ana, {"type": "send", "topic": "other", "n": 2})
        assert [await hear_json(ana), await hear_json(ana)] == [{"n": 1}, {"n": 2}]


async def test_the_first_topic_may_be_in_the_query(autojump_clock: MockClock) -> None:
    async with in_memory(fdw_app()) as server:
        room = await connect(server, "/fdw/room?topic=news/1&conn_id=other")
        wild = await connect(server, "/fdw/wild?topic=news/%23")
        none = await connect(server, "/fdw/none?topic=a%23")
        await wait_all_tasks_blocked()
        assert {client.name for client in server.node.app.clients.values()} == {
            "room",
            "wild",
            "none",
        }
        assert list(await hear_json(none)) == ["error"]
        await say(none, {"type": "send", "topic": "news/1", "msg": "x"})
        assert [await hear_json(client) for client in (room, wild)] == [{"msg": "x"}] * 2


async def test_no_message_leaves_a_task_behind(autojump_clock: MockClock) -> None:
    async with in_memory(fdw_app(), Settings(rate_messages=0)) as server:
        clients = [await connect(server, f"/fdw/{name}") for name in ("ana", "ben")]
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(200):
            await say(clients[0], {"type": "broadcast", "n": number})
        for client in clients:
            assert [(await hear_json(client))["n"] for _ in range(200)] == list(range(200))
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize("ending", ["goodbye", "lost", "violation"])
async def test_nobody_stays_behind_as_a_ghost(ending: str, autojump_clock: MockClock) -> None:
    app = fdw_app()
    async with in_memory(app) as server:
        ghost, other = await connect(server, "/fdw/ghost"), await connect(server, "/fdw/other")
        await end(ghost, ending)
        await trio.sleep(10)
        assert [client.name for client in app.clients.values()] == ["other"]
        await say(other, {"type": "broadcast", "msg": "hi"})
        assert await hear_json(other) == {"msg": "hi"}
        await connect(server, "/fdw/ghost")  # the id is free again


async def end(client: TestClient, how: str) -> None:
    if how == "goodbye":
        await client.close()
    elif how == "lost":
        await trio.aclose_forcefully(client.stream)
    else:
        await client.send_raw(b"\xff" * 20)
        assert (await client.closing()).code == 1002


async def test_everybody_is_told_when_the_server_stops(autojump_clock: MockClock) -> None:
    async with in_memory(fdw_app()) as server:
        clients = [await connect(server, f"/fdw/{number}") for number in range(7)]
        await wait_all_tasks_blocked()
        server.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert [(await client.closing()).code for client in clients] == [3001] * 7


@pytest.mark.parametrize("header", ["Basic x", "Bearer", "Bearer nobody's"])
async def test_who_proves_nothing_is_refused_and_runs_nothing(
    header: str, autojump_clock: MockClock
) -> None:
    club = Club(dialects=["fdw"])
    async with in_memory(club.app) as server:
        with pytest.raises(Refused, match="401"):
            await connect(server, "/fdw/ana", f"Authorization: {header}\r\n")
    assert club.happened == []


@pytest.mark.parametrize("kind", [RoomsError, RequestError, Disconnect])
def test_errors_are_ordinary_exceptions(kind: type[BaseException]) -> None:
    assert issubclass(kind, Exception)


async def test_an_error_handler_may_be_plain_or_not_whatever_failed(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.on("waits")
    async def waits(ctx: Ctx) -> None:
        raise KeyError

    @app.on("plain")
    def plain(ctx: Ctx) -> None:
        raise IndexError

    @app.on_error(KeyError)
    def note_key(ctx: Ctx, error: KeyError) -> str:
        return "key"

    @app.on_error(IndexError)
    async def note_index(ctx: Ctx, error: IndexError) -> str:
        return "index"

    app.middleware(lambda ctx, call_next: call_next(ctx))
    async with in_memory(app) as server:
        client = await server.connect()
        assert (await client.event("waits"))["payload"] == "key"
        assert (await client.event("plain"))["payload"] == "index"


def test_a_server_that_is_told_of_no_broker_has_one() -> None:
    assert isinstance(make_broker(Settings().broker), MemoryBroker)


def test_a_broker_has_all_that_the_contract_asks_for() -> None:
    class Half(Broker):
        def unsubscribe(self, room: str) -> None: ...

    with pytest.raises(TypeError, match="publish_nowait"):
        Half()  # type: ignore[abstract]
