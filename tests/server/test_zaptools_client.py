"""The real client of zaptools, unchanged, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from zaptools.client import ZapClient, ZapClientState

from rooms import App, Context, Settings
from rooms.serving import Server, serve

Talk = Callable[[str], Awaitable[Any]]
Ctx = Context[Any]
SECONDS = 10


def echo_app() -> App:
    """What the README of zaptools shows, and rooms that relay."""
    app = App(dialects=["zaptools"], relay=True)

    @app.on("connected")
    async def greet(ctx: Ctx) -> None:
        await ctx.send("hello", {"id": ctx.client.id}, headers={"h": "1"})

    @app.on("echo")
    async def echo(ctx: Ctx) -> None:
        await ctx.send("echo", ctx.payload, ctx.headers)

    @app.on("kick")
    def kick(ctx: Ctx) -> None:
        ctx.client.close(4000)

    return app


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serve(echo_app(), Settings(port=0, http=False)) as server:
        yield server


async def talk(server: Server, path: str, say: Talk) -> Any:
    """Run a conversation on an event loop of the client's own, in a thread."""
    url = server.url.replace("http", "ws") + path
    return await trio.to_thread.run_sync(lambda: asyncio.run(asyncio.wait_for(say(url), SECONDS)))


async def test_it_connects_sends_and_hears(server: Server) -> None:
    async def say(url: str) -> list[Any]:
        client = ZapClient()
        await client.connect(url)
        await client.send("echo", {"a": "\u017e"}, {"x": "y"})
        await client.send("nosuch", {})
        heard = []
        async for event in client.event_stream():
            heard.append((event.event_name, event.payload, event.headers))
            if len(heard) == 3:
                break
        await client.close()
        return heard

    hello, echo, error = await talk(server, "/zaptools", say)
    assert hello == ("hello", {"id": "c1"}, {"h": "1"})
    assert echo == ("echo", {"a": "\u017e"}, {"x": "y"})
    assert (error[0], error[1]["code"]) == ("error", "unknown_event")


async def test_a_goodbye_ends_its_stream(server: Server) -> None:
    async def say(url: str) -> tuple[list[str], Any]:
        client = ZapClient()
        await client.connect(url)
        await client.send("kick", {})
        names = [event.event_name async for event in client.event_stream()]
        return names, client._current_state

    assert await talk(server, "/zaptools", say) == (["hello"], ZapClientState.OFFLINE)


async def test_two_of_them_meet_in_the_room_of_their_path(server: Server) -> None:
    async def say(url: str) -> list[Any]:
        clients = [ZapClient(), ZapClient()]
        streams = []
        for client in clients:
            await client.connect(url)
            streams.append(client.event_stream())
            assert (await anext(streams[-1])).event_name == "hello"
            await client.send("here", {})  # answered when the room has been joined
            assert (await anext(streams[-1])).event_name == "here"
        assert (await anext(streams[0])).event_name == "here"
        await clients[0].send("said", {"text": "hi"})
        heard = [await anext(stream) for stream in streams]
        for client in clients:
            await client.close()
        return [(event.event_name, event.payload, event.headers["room"]) for event in heard]

    assert await talk(server, "/zaptools/lobby", say) == [("said", {"text": "hi"}, "lobby")] * 2
