"""A chat: rooms below ``chat/``, with history, for guests who choose a name."""

from __future__ import annotations

from typing import Any

from rooms import App, Context, Event, Position

app = App(guests=True, static="public")
app.rooms("chat/#", history=200, ttl=24 * 60 * 60)


class Say(Event):
    """What a member sends with the event ``say``."""

    text: str


@app.on("say", room="chat/+")
async def say(ctx: Context[Say]) -> dict[str, Any]:
    """Tell everybody in the room; the reply says where it stands."""
    assert ctx.room is not None
    user = ctx.client.user
    who = "somebody" if user is None else user.name
    position: Position = await ctx.room.publish(
        "said", {"who": who, "text": ctx.payload.text}, key=ctx.key
    )
    return {"position": position}


@app.http.post("/announce/<room>")
async def announce(room: str) -> dict[str, int]:
    """Publish from an ordinary request; ask here who it is before strangers reach this server.

    ``curl -H 'Content-Type: application/json' -d '{"text": "…"}' …/announce/lobby``; pages of
    other sites cannot send that type.
    """
    from quart import abort, request

    content = await request.get_json()
    if not isinstance(content, dict) or "text" not in content:
        abort(400)
    position = await app.room(f"chat/{room}").publish(
        "said", {"who": "the server", "text": str(content["text"])}
    )
    return {"offset": position.offset}
