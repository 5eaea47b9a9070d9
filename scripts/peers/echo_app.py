"""Rooms, with an echo that goes through a handler."""

from typing import Any

from rooms import App, Context

app = App(relay=True)


@app.on("echo")
async def echo(ctx: Context) -> Any:
    """Answer with what came."""
    return ctx.payload
