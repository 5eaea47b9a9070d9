"""An application: its events and who handles them."""

from __future__ import annotations

from rooms import App, Context, Event

app = App(static="public")


class Greet(Event):
    """What a client sends with the event ``greet``."""

    name: str


@app.on("greet")
async def greet(ctx: Context[Greet]) -> dict[str, str]:
    """Answer the client alone; what is returned is the reply."""
    return {"text": f"Hello, {ctx.payload.name}!"}
