"""An application that only relays, and leaves to the settings how much history is kept.

``rooms bench --history`` measures it; the built-in chat has a history of its own.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from rooms.server.app import App
from rooms.server.context import Context

app = App(relay=True)


@app.on("echo")
def echo(ctx: Context[Any]) -> Raw:
    """Answer with what came."""
    payload: Raw = ctx.payload
    return payload
