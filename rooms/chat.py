"""The built-in chat: an ordinary application that relays what people say."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from rooms.server.app import App
from rooms.server.context import Context

LISTED_ROOMS = 100
"""The most rooms that the chat's list shows."""


def chat_app() -> App:
    """Return a new chat: guests pick a name, and events of members reach their rooms."""
    app = App(relay=True, guests=True)

    @app.on("rooms")
    def list_rooms(ctx: Context[Any]) -> list[dict[str, Any]]:
        rooms = [ctx.app.room(name) for name in ctx.app.room_names]
        rooms.sort(key=lambda room: (-room.count, room.name))
        return [{"room": room.name, "count": room.count} for room in rooms[:LISTED_ROOMS]]

    @app.on("echo")
    def echo(ctx: Context[Raw]) -> Raw:
        return ctx.payload

    return app
