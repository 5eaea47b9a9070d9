"""python-socketio on uvicorn with uvloop.  socketio_server.py PORT [ENGINE-URL]"""

import sys
from typing import Any

import socketio
import uvicorn

manager = socketio.AsyncRedisManager(sys.argv[2]) if len(sys.argv) > 2 else None
server = socketio.AsyncServer(async_mode="asgi", ping_interval=300, client_manager=manager)


@server.event
async def join(sid: str, room: str) -> None:
    """Enter a room."""
    await server.save_session(sid, {"room": room})
    await server.enter_room(sid, room)
    await server.emit("joined", room, to=sid)


@server.event
async def message(sid: str, data: Any) -> None:
    """Send everything to all members of the client's room."""
    session = await server.get_session(sid)
    await server.emit("message", data, room=session["room"])


@server.event
async def echo(sid: str, data: Any) -> None:
    """Send everything back."""
    await server.emit("message", data, to=sid)


uvicorn.run(
    socketio.ASGIApp(server),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="warning",
    loop="uvloop",
    http="httptools",
    backlog=4096,
)
