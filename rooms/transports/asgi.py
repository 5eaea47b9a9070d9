"""A WebSocket that somebody else's server has accepted and tells of in ASGI's messages.

To everything above it is a connection like any other: it begins with a request, and what follows
is frames.  So limits, sign-in, heartbeat, closing handshake and dialects are the same code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from rooms.protocol import asgi
from rooms.protocol.http import parse_answer
from rooms.transports.base import Link

Receive = Callable[[], Awaitable[asgi.Message]]
Send = Callable[[asgi.Message], Awaitable[None]]

DENIAL = "websocket.http.response"
"""The ASGI extension by which a refusal has a status and a body of its own."""


class AsgiLink(Link):
    """The bytes of one connection, made of ASGI's messages and back.

    Nothing can be sent at once, so the outbox's writer does all the work; what waits in the
    server below is not known.

    Args:
        scope: Of type ``websocket``.
    """

    __slots__ = (
        "_answers",
        "_frames",
        "_opened",
        "_over",
        "_receive",
        "_receiving",
        "_scope",
        "_send",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._answers = asgi.head_of(scope)  # what the client says without the server's telling
        self._frames = asgi.Frames()
        self._receiving: trio.CancelScope | None = None
        self._opened = False
        self._over = False

    @property
    def secure(self) -> bool:  # type: ignore[override]
        """As the server below says."""
        return self._scope.get("scheme") in ("wss", "https")

    def send_nowait(self, data: bytes) -> int:  # never at once
        raise BlockingIOError

    async def send_all(self, data: bytes) -> None:
        if not self._opened:
            await self._answer(data)
            return
        self._check_open()
        for said in self._frames.take(data):
            message = asgi.server_message(said)
            self._say(asgi.answer_to(said))
            if message is not None:
                self._check_open()  # the client may have gone while the last was sent
                self._over = message["type"] == "websocket.close"
                await self._pass_on(message)

    def _check_open(self) -> None:
        if self._over:
            raise trio.BrokenResourceError("the connection has been closed")

    async def _pass_on(self, message: asgi.Message) -> None:
        """Give a message to the server below, which may say by an `OSError` that nobody is there.

        Raises:
            trio.BrokenResourceError: It says so.
        """
        try:
            await self._send(message)
        except OSError as error:
            raise trio.BrokenResourceError("the client has gone") from error

    async def receive_some(self) -> bytes:
        while not self._answers:
            if self._over:
                await trio.lowlevel.checkpoint()
                return b""
            with trio.CancelScope() as self._receiving:
                self._take(await self._receive())
            self._receiving = None
        data, self._answers = self._answers, b""
        return data

    async def finish(self) -> None:
        self._over = True
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._over = True
        await trio.lowlevel.checkpoint()

    def _take(self, message: asgi.Message) -> None:
        if message["type"] == "websocket.receive":
            self._answers += asgi.client_frames(message)
        elif message["type"] == "websocket.disconnect":
            code = message.get("code") or 1005
            self._over = True
            self._answers += asgi.client_close(code)

    def _say(self, answer: bytes) -> None:
        """Have the client say something, although its server is silent."""
        if answer:
            self._answers += answer
            if self._receiving is not None:
                self._receiving.cancel()

    async def _answer(self, data: bytes) -> None:
        """Pass the answer to the request on."""
        self._opened = True
        answer = parse_answer(data)
        if answer.status == 101:
            headers = [(name, value) for name, value in answer.headers if name not in _UPGRADE]
            selected = dict(answer.headers).get(b"sec-websocket-protocol", b"").decode() or None
            await self._pass_on(
                {"type": "websocket.accept", "subprotocol": selected, "headers": headers}
            )
            return
        self._over = True
        if DENIAL not in (self._scope.get("extensions") or {}):
            await self._pass_on({"type": "websocket.close", "code": 1008})
            return
        start = {"type": f"{DENIAL}.start", "status": answer.status, "headers": answer.headers}
        await self._pass_on(start)
        await self._pass_on({"type": f"{DENIAL}.body", "body": answer.body})


_UPGRADE = (b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol")
