"""trio-websocket as its documentation has it: one message after the other to each member.

trio_websocket_server.py PORT
"""

import sys
from collections import defaultdict
from contextlib import suppress

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

rooms: defaultdict[str, set[WebSocketConnection]] = defaultdict(set)


async def echo(socket: WebSocketConnection) -> None:
    """Send everything back."""
    while True:
        await socket.send_message(await socket.get_message())


async def member(socket: WebSocketConnection, members: set[WebSocketConnection]) -> None:
    """Send everything to all members."""
    members.add(socket)
    try:
        while True:
            text = await socket.get_message()
            for other in list(members):
                with suppress(ConnectionClosed):  # one that is leaving stops no other
                    await other.send_message(text)
    finally:
        members.discard(socket)


async def connection(request: WebSocketRequest) -> None:
    """Choose by the path."""
    socket = await request.accept()
    with suppress(ConnectionClosed):
        path = request.path
        await (echo(socket) if path == "/echo" else member(socket, rooms[path]))


async def main() -> None:
    """Serve until the process ends."""
    await serve_websocket(connection, "127.0.0.1", int(sys.argv[1]), ssl_context=None)


trio.run(main)
