"""The application without a network, in virtual time."""

from __future__ import annotations

from app import app
from trio.testing import MockClock

from rooms.testing import MemoryServer, TestClient, in_memory


async def sign_in(server: MemoryServer, name: str) -> TestClient:
    """A guest in the lobby."""
    client = await server.connect()
    await client.request(type="auth", name=name, secret=f"the secret of {name}")
    await client.join("chat/lobby")
    return client


async def test_what_one_says_the_other_reads(autojump_clock: MockClock) -> None:
    async with in_memory(app) as server:
        ana, ben = await sign_in(server, "Ana"), await sign_in(server, "Ben")
        await ana.event("say", "chat/lobby", {"text": "hello"})
        assert await ben.receive_event("said") == {"who": "Ana", "text": "hello"}


async def test_who_comes_later_can_read_what_was_said(autojump_clock: MockClock) -> None:
    async with in_memory(app) as server:
        ana = await sign_in(server, "Ana")
        await ana.event("say", "chat/lobby", {"text": "hello"})
        ben = await sign_in(server, "Ben")
        past = await ben.request(type="history", room="chat/lobby")
        assert [each["payload"]["text"] for each in past["publications"]] == ["hello"]


async def test_only_members_speak(autojump_clock: MockClock) -> None:
    async with in_memory(app) as server:
        client = await server.connect()
        reply = await client.event("say", "chat/lobby", {"text": "hello"})
        assert reply["code"] == "not_member"
