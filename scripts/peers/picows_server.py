"""picows, a WebSocket library in Cython, on uvloop.  picows_server.py PORT"""

import sys
from collections import defaultdict

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

rooms: defaultdict[bytes, set[WSTransport]] = defaultdict(set)


class Echo(WSListener):
    """Sends everything back."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Member(WSListener):
    """Sends everything to all members of its room."""

    def __init__(self, room: bytes) -> None:
        self._members = rooms[room]

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            for member in self._members:
                member.send(WSMsgType.TEXT, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


def listener(request: WSUpgradeRequest) -> WSListener:
    """Choose by the path."""
    return Echo() if request.path == b"/echo" else Member(request.path)


async def main() -> None:
    """Serve until the process ends."""
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


uvloop.run(main())
