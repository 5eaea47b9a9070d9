"""fastapi-distributed-websocket on uvicorn with uvloop.  fdw_server.py PORT ENGINE-URL"""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from distributed_websocket import WebSocketManager
from distributed_websocket._message import tag_client_message
from fastapi import FastAPI, WebSocket

manager = WebSocketManager("channel:bench", broker_url=sys.argv[2])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Be connected to the engine."""
    async with manager:
        yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/r/{room}")
async def member(socket: WebSocket, room: str) -> None:
    """Send everything to all members of the room that the path names."""
    topic = f"room/{room}"
    connection = await manager.new_connection(socket, uuid.uuid4().hex, topic)
    try:
        async for message in connection.iter_json():
            tagged = tag_client_message({**message, "type": "send", "topic": topic})
            await manager.receive(connection, tagged)
    finally:
        manager.remove_connection(connection)


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
