"""websockets on uvloop, with its own broadcast.  websockets_server.py PORT"""

import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def echo(socket: ServerConnection) -> None:
    """Send everything back."""
    async for text in socket:
        await socket.send(text)


async def member(socket: ServerConnection, members: set[ServerConnection]) -> None:
    """Send everything to all members."""
    members.add(socket)
    try:
        async for text in socket:
            broadcast(members, text)
    finally:
        members.discard(socket)


async def connection(socket: ServerConnection) -> None:
    """Choose by the path."""
    assert socket.request is not None
    path = socket.request.path
    await (echo(socket) if path == "/echo" else member(socket, rooms[path]))


async def main() -> None:
    """Serve until the process ends."""
    port = int(sys.argv[1])
    quiet = {"compression": None, "ping_interval": None}
    async with serve(connection, "127.0.0.1", port, backlog=4096, **quiet) as server:
        await server.serve_forever()


uvloop.run(main())
