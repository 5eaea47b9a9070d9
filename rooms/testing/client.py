"""A client for tests, over any Trio stream: whole messages, or raw bytes where a test wants."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from rooms.protocol.frames import CLOSE, PING, PONG
from rooms.testing.frames import Frame, client_close, client_frame, take_frame

REQUEST = (
    "GET {path} HTTP/1.1\r\n"
    "Host: rooms.test\r\n"
    "Connection: keep-alive, Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "{headers}\r\n"
)


class Refused(Exception):
    """The server did not accept the WebSocket; holds its answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer.split(b"\r\n", 1)[0].decode())
        self.status = int(answer.split(b" ", 2)[1])
        self.answer = answer


class Closed(Exception):
    """The server said goodbye, or was gone (then with code 1006)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class TestClient:
    """Speaks the native protocol; nothing is read but when a method of it waits."""

    __test__ = False  # for pytest: this is no test

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._sending = trio.Lock()  # a pong is sent by whoever listens
        self._data = bytearray()
        self._ids = 0
        self._put_by: list[dict[str, Any]] = []
        self.id = ""

    async def handshake(self, path: str = "/ws", headers: str = "", extra: bytes = b"") -> str:
        """Ask for a WebSocket and return the head of the answer.

        Raises:
            Refused: The server answered something else.
        """
        request = REQUEST.format(path=path, headers=headers).encode()
        await self.stream.send_all(request + extra)
        while b"\r\n\r\n" not in self._data:
            await self._read()
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Refused(bytes(self._data))
        self._data = bytearray(rest)
        return head.decode()

    # Frames.

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are; what another task is sending goes first."""
        async with self._sending:
            await self.stream.send_all(data)

    async def frame(self) -> Frame:
        """Wait for the next frame of any kind.

        Raises:
            Closed: The connection ended without one.
        """
        while (frame := take_frame(self._data)) is None:
            await self._read()
        return frame

    async def message(self) -> bytes:
        """Wait for the next message, answering pings.

        Raises:
            Closed: The server said goodbye instead; it has been answered.
        """
        while True:
            frame = await self.frame()
            if frame.opcode == PING:
                await self.send_raw(client_frame(frame.payload, PONG))
            elif frame.opcode == CLOSE:
                await self._answer_close(frame)
                raise Closed(frame.code, frame.payload[2:].decode())
            elif frame.opcode != PONG:
                return frame.payload

    async def closing(self) -> Closed:
        """Wait for the server's goodbye, ignoring what comes before it."""
        while True:
            try:
                await self.message()
            except Closed as closed:
                return closed

    # The native protocol.

    async def send(self, **fields: Any) -> None:
        """Send one frame of the native protocol: ``send(type="join", room="lobby", id=1)``."""
        await self.send_raw(client_frame(msgspec.json.encode(fields)))

    async def receive(self) -> dict[str, Any]:
        """Wait for the next frame of the native protocol, in order."""
        if self._put_by:
            return self._put_by.pop(0)
        return await self._next()

    async def receive_type(self, wanted: str) -> dict[str, Any]:
        """Wait for the next frame of a type, dropping others."""
        while (message := await self.receive())["type"] != wanted:
            pass
        return message

    async def receive_event(self, event: str) -> Any:
        """Wait for the next event of that name, dropping others, and return its payload."""
        while True:
            message = await self.receive_type("event")
            if message["event"] == event:
                return message["payload"]

    async def request(self, **fields: Any) -> dict[str, Any]:
        """Send a command and wait for its reply or error; what comes before is kept."""
        self._ids += 1
        await self.send(**fields, id=self._ids)
        while True:
            message = await self._next()
            if message.get("id") == self._ids:
                return message
            self._put_by.append(message)

    def kept_events(self) -> list[dict[str, Any]]:
        """Return the events that came while a reply was waited for, and forget them."""
        events = [message for message in self._put_by if message["type"] == "event"]
        self._put_by = [message for message in self._put_by if message["type"] != "event"]
        return events

    async def welcome(self) -> dict[str, Any]:
        """Wait for the greeting."""
        message = await self.receive_type("welcome")
        self.id = message["client"]
        return message

    async def join(self, room: str) -> dict[str, Any]:
        """Join a room and return the reply."""
        return await self.request(type="join", room=room)

    async def event(self, event: str, room: str | None = None, payload: Any = None) -> Any:
        """Send an event and return the reply."""
        where = {} if room is None else {"room": room}
        return await self.request(type="event", event=event, payload=payload, **where)

    async def close(self, code: int = 1000) -> Closed:
        """Say goodbye and wait for the server's."""
        await self.send_raw(client_close(code))
        closed = await self.closing()
        await self.stream.aclose()
        return closed

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(await self.message())
        return message

    async def _answer_close(self, frame: Frame) -> None:
        try:
            await self.send_raw(client_frame(frame.payload[:2], CLOSE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _read(self) -> None:
        try:
            data = await self.stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Closed(1006, "connection lost") from None
        if not data:
            raise Closed(1006, "connection lost")
        self._data += data
