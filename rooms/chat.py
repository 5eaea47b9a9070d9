"""The built-in chat: an ordinary application that relays what people say."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from rooms.protocol.dialects import DIALECTS
from rooms.server.app import App
from rooms.server.context import Context

LISTED_ROOMS = 100
"""The most rooms that the chat's list shows."""

ASKED_ROOMS = 1000
"""Of so many rooms, those with the most people, it is asked whether the client may join them."""

KEPT_MESSAGES = 1000
"""How far back one can scroll in a room."""

KEPT_SECONDS = 24 * 60 * 60
"""For how long what was said can be read."""

TYPING = "typing/"
"""Who types in a room is told in the room of that name with this before it, and not kept."""


def chat_app(history: int | None = KEPT_MESSAGES, ttl: float | None = KEPT_SECONDS) -> App:
    """Return a new chat: guests pick a name, and events of members reach their rooms.

    Args:
        history: Publications that are kept of a room; None leaves that to the settings.
        ttl: Seconds for which each is kept; None leaves that to the settings.
    """
    app = App(relay=True, guests=True, dialects=DIALECTS)
    app.rooms("#", history=history, ttl=ttl)
    app.rooms(TYPING + "#", history=0)

    @app.on("rooms")
    async def list_rooms(ctx: Context[Any]) -> list[dict[str, Any]]:
        rooms = [ctx.app.room(name) for name in ctx.app.room_names]
        rooms.sort(key=lambda room: (-room.count, room.name))
        listed = []
        for room in rooms[:ASKED_ROOMS]:
            if await ctx.client.may("join", room.name):
                listed.append({"room": room.name, "count": room.count})
            if len(listed) == LISTED_ROOMS:
                break
        return listed

    @app.on("typing")
    async def tell_typing(ctx: Context[Any]) -> None:
        if ctx.room is not None:
            user = ctx.client.id if ctx.client.user is None else ctx.client.user.id
            await ctx.app.room(TYPING + ctx.room.name).publish("typing", {"user": user})

    @app.on("echo")
    def echo(ctx: Context[Raw]) -> Raw:
        return ctx.payload

    return app
