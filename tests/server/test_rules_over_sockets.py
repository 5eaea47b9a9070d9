"""Attacks on rooms that are not for everybody, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from rooms import App, Settings, serve
from rooms.core.grants import ACTIONS
from rooms.testing import TestClient
from tests.server.rules import (
    COMMANDS,
    FORBIDDEN_FILTERS,
    LEFT,
    ROOM,
    TRICKS,
    Doors,
    app_with_doors,
    code_of,
)

both = pytest.mark.parametrize("slow", [False, True], ids=["plain", "asynchronous"])


@asynccontextmanager
async def attacker(slow: bool) -> AsyncIterator[tuple[App, Doors, TestClient]]:
    """Serve an app with doors, open at first, to one client."""
    app, doors = app_with_doors(slow)
    with trio.fail_after(20):
        async with serve(app, Settings(port=0, http=False)) as server:
            client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
            await client.handshake()
            await client.welcome()
            yield app, doors, client
            await client.close()


@both
async def test_without_the_right_nothing_is_answered_but_forbidden(slow: bool) -> None:
    async with attacker(slow) as (app, doors, client):
        doors.open = False
        await app.room(ROOM).publish("secret")
        for action in ACTIONS:
            assert await code_of(client, **COMMANDS[action]) == "forbidden"
        for text in FORBIDDEN_FILTERS:
            assert await code_of(client, type="subscribe", filter=text) == "forbidden"
        for name in TRICKS:
            await client.join(name)
        await app.room(ROOM).publish("secret")
        await client.request(type="ping")
        assert client.kept_events() == []


@both
async def test_after_a_revocation_nothing_more_is_heard_or_said(slow: bool) -> None:
    async with attacker(slow) as (app, doors, client):
        await client.join(ROOM)
        await client.request(type="subscribe", filter="team/#")
        doors.open = False
        assert await code_of(client, **COMMANDS["publish"]) == "forbidden"
        app.recheck()
        assert await client.receive_type("left") == LEFT
        assert (await client.receive_type("left"))["filter"] == "team/#"
        await app.room(ROOM).publish("secret")
        for action in ACTIONS:
            assert await code_of(client, **COMMANDS[action]) == "forbidden"
        assert client.kept_events() == []
