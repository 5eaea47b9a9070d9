"""The application without a network, in virtual time."""

from __future__ import annotations

from app import app
from trio.testing import MockClock

from rooms.testing import in_memory


async def test_who_greets_is_greeted(autojump_clock: MockClock) -> None:
    async with in_memory(app) as server:
        client = await server.connect()
        reply = await client.event("greet", payload={"name": "Ana"})
        assert reply["payload"] == {"text": "Hello, Ana!"}


async def test_a_greeting_needs_a_name(autojump_clock: MockClock) -> None:
    async with in_memory(app) as server:
        client = await server.connect()
        reply = await client.event("greet", payload={})
        assert reply["code"] == "invalid_payload"
