"""The built-in chat: an ordinary application that relays what people say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from rooms.protocol.dialects import DIALECTS
from rooms.server.app import App
from rooms.server.auth import Authenticator
from rooms.server.context import Context

LISTED_ROOMS = 100
"""The most rooms that the chat's list shows."""

ASKED_ROOMS = 1000
"""Of so many rooms, those with the most people, it is asked whether the client may join them."""

KEPT_MESSAGES = 1000
"""How far back one can scroll in a room."""

KEPT_SECONDS = 24 * 60 * 60
"""For how long what was said can be read."""

NAME_LENGTH = 80
"""So much of a user's name is shown to others."""

TYPING = "typing/"
"""Who types in a room is told in the room of that name with this before it, and not kept."""


def chat_app(
    history: int | None = KEPT_MESSAGES,
    ttl: float | None = KEPT_SECONDS,
    *,
    auth: Authenticator | Sequence[Authenticator] | None = None,
    sign_in: str | None = None,
) -> App:
    """Return a new chat: events of members reach their rooms, and ``/`` is the page.

    Args:
        history: Publications that are kept of a room; None leaves that to the settings.
        ttl: Seconds for which each is kept; None leaves that to the settings.
        auth: Says who gets in; without it guests pick a name.
        sign_in: The path of one's own page for signing in, as for `Pages.chat`.
    """
    app = App(relay=True, guests=True, auth=auth, dialects=DIALECTS)
    app.http.chat(sign_in=sign_in)
    app.rooms("#", history=history, ttl=ttl)
    app.rooms(TYPING + "#", history=0)

    @app.on("connected")
    def tell_name(ctx: Context[Any]) -> None:
        user = ctx.client.user
        if user is not None and user.name != user.id:
            ctx.client.presence = {"name": user.name[:NAME_LENGTH]}

    @app.on("rooms")
    async def list_rooms(ctx: Context[Any]) -> list[dict[str, Any]]:
        rooms = [ctx.app.room(name) for name in {*ctx.app.room_names, *_granted(ctx)}]
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


def _granted(ctx: Context[Any]) -> list[str]:
    """Return the rooms that the client's token names, which may be empty still."""
    identity = ctx.client.identity
    if identity is None or identity.grants is None:
        return []
    return identity.grants.rooms("join")[:LISTED_ROOMS]
