"""The application that ``rooms bench`` measures where the chat would keep too much."""

from __future__ import annotations

from rooms.cli.relay import app
from rooms.config import Settings
from rooms.testing import in_memory


async def test_events_are_relayed_and_echoed() -> None:
    async with in_memory(app) as server:
        client = await server.connect()
        await client.join("r0")
        await client.event("bench", "r0", {"pad": "x"})
        assert (await client.receive_type("event"))["payload"] == {"pad": "x"}
        assert (await client.event("echo", payload=[1, None]))["payload"] == [1, None]


def test_the_settings_say_how_much_is_kept() -> None:
    for messages in (0, 7):
        kept = app.options.retention("r0", Settings(history_messages=messages))
        assert kept.messages == messages
