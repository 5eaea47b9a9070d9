"""An application that forgets whoever came last."""

from typing import Any

from rooms import App, Context

app = App()


@app.on("bench")
async def send_to_all_but_one(ctx: Context[Any]) -> None:
    """Send what came to all clients but the last."""
    await ctx.app.send_to(list(ctx.app.clients)[:-1], "bench", ctx.payload)
