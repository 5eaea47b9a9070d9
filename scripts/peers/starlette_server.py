"""Starlette (which FastAPI is made of) on uvicorn.  starlette_server.py PORT"""

import sys
from collections import defaultdict
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)


async def echo(socket: WebSocket) -> None:
    """Send everything back."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def member(socket: WebSocket) -> None:
    """Send everything to all members of the room that the path names."""
    await socket.accept()
    members = rooms[socket.path_params["room"]]
    members.add(socket)
    try:
        async for text in socket.iter_text():
            for other in list(members):
                with suppress(Exception):  # one that is leaving stops no other
                    await other.send_text(text)
    finally:
        members.discard(socket)


app = Starlette(routes=[WebSocketRoute("/r/{room}", member), WebSocketRoute("/echo", echo)])

uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="warning",
    loop="uvloop",
    http="httptools",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    backlog=4096,
)
