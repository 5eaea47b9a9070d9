"""A server that gives back every message as it came: the whole of Rooms under a tiny dialect.

Conformance suites need an endpoint that echoes any text and any bytes, which the native protocol
is too strict for.  Nothing but the dialect is made for the test: the port, the handshake, both
lanes, the session, the outbox and the closing handshake are those of every server.
"""

from __future__ import annotations

from typing import Any, Final

import trio
from msgspec import Raw

from rooms import App, Context, Settings, WebSocket, serve
from rooms.logs import configure
from rooms.protocol.commands import Command, Message, Reply, SendEvent
from rooms.protocol.dialects.base import Dialect
from rooms.protocol.frames import BINARY, TEXT, server_frame

PATH = "/echo"
OWN_PATH = "/own-echo"
"""Of an application's own endpoint, which has a parser of its own."""

MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""More than the largest message of the Autobahn suite, 16 MiB."""

SETTINGS = Settings(
    port=0,
    http=False,
    message_bytes=MESSAGE_BYTES,
    outbox_bytes=2 * MESSAGE_BYTES,
    fragments_per_message=100_000,
    history_messages=0,
    rate_messages=0,
    rate_bytes=0,
    handshakes_per_address=0,
)
"""What is limited otherwise is not what the suite is about: it asks as fast as it can."""


class EchoDialect(Dialect):
    """Takes every message for an ``echo``, and makes a message of its reply alone."""

    name = "echo"
    paths = (PATH,)

    def decode(self, payload: bytes, binary: bool) -> Command:
        opcode = BINARY if binary else TEXT
        return SendEvent(event="echo", payload=Raw(bytes([opcode]) + payload), id=0)

    def encode(self, message: Message) -> bytes:
        if not isinstance(message, Reply) or not isinstance(message.payload, Raw):
            return b""
        marked = bytes(message.payload)
        return server_frame(marked[1:], marked[0])


def echo_app() -> App:
    """Return an application that answers ``echo`` by what came."""
    app = App(dialects=[EchoDialect()])

    @app.on("echo")
    def echo(ctx: Context[Raw]) -> Any:
        return ctx.payload

    @app.websocket(OWN_PATH)
    async def echo_messages(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)

    return app


async def main() -> None:
    """Serve, say on which port, and do so until interrupted."""
    configure("warning", "json")  # standard output is for the port alone
    async with serve(echo_app(), SETTINGS) as server:
        print(server.port, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
