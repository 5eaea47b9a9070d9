"""A whole server on a real port, and what must be true of it after any client at all."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from structlog.testing import capture_logs

from rooms import App, Context
from rooms.chat import chat_app
from rooms.config import Settings
from rooms.protocol.frames import CLOSE
from rooms.serving import Server, serve
from rooms.testing import Closed, TestClient

SECONDS = 10
"""What any single thing may take; nothing waits for that long unless it is broken."""

PAGE = b"GET / HTTP/1.1\r\nHost: rooms.test\r\nConnection: close\r\n\r\n"


class Ground:
    """A running chat and the clients that do to it what they like.

    Attributes:
        connected: How often the application was told of each client.
        reasons: The close codes that ``disconnected`` was fired with, by client.
    """

    def __init__(self, app: App, server: Server) -> None:
        self.app = app
        self.server = server
        self.connected: Counter[str] = Counter()
        self.reasons: dict[str, list[int]] = {}
        self._opened: list[trio.abc.Stream] = []
        self._gone: dict[str, trio.Event] = defaultdict(trio.Event)

    async def open_stream(self) -> trio.abc.Stream:
        """Return a new connection on which nothing has been sent."""
        return await self.open_clear()

    async def open_clear(self) -> trio.SocketStream:
        """Return a new TCP connection, whatever this server's clients speak on it."""
        return self.keep(await trio.open_tcp_stream("127.0.0.1", self.server.port))

    def keep(self, stream: trio.SocketStream) -> trio.SocketStream:
        """Have ``stream`` closed at the end, and return it."""
        self._opened.append(stream)
        return stream

    async def connect(self, *, headers: str = "", extra: bytes = b"") -> TestClient:
        """Return a client that has been greeted."""
        client = TestClient(await self.open_stream())
        await client.handshake(headers=headers, extra=extra)
        await client.welcome()
        return client

    async def ask(self, request: bytes, *, clear: bool = False) -> bytes:
        """Send bytes on a new connection and return all that comes back until its end."""
        stream = await (self.open_clear() if clear else self.open_stream())
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(request)
        return await read_all(stream)

    async def check_still_serving(self) -> None:
        """Get a page, and hold a whole conversation, on new connections."""
        answer = await self.ask(PAGE)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        await converse(await self.connect(), await self.connect())

    async def close_all(self) -> None:
        """Close every connection from the clients' side."""
        with trio.CancelScope(shield=True):
            for stream in self._opened:
                await trio.aclose_forcefully(stream)

    def watcher(self) -> App:
        """What notices who comes and goes, beside what the application does then."""
        app = App()
        app.on("connected")(self.notice)
        app.on("disconnected")(self.miss)
        return app

    def notice(self, ctx: Context[Any]) -> None:
        """Remember that a client came."""
        self.connected[ctx.client.id] += 1

    def miss(self, ctx: Context[Any]) -> None:
        """Remember that a client went, and why."""
        assert ctx.reason is not None
        self.reasons.setdefault(ctx.client.id, []).append(ctx.reason.code)
        self._gone[ctx.client.id].set()

    async def gone(self, client: TestClient) -> int:
        """Wait until the application was told that ``client`` is gone; return the close code."""
        await self._gone[client.id].wait()
        return self.reasons[client.id][0]

    def left_behind(self) -> dict[str, Any]:
        """Return what is still there of clients that came, and nothing if that is nothing."""
        goodbyes = Counter({client: len(codes) for client, codes in self.reasons.items()})
        everything = {
            "rooms": self.app.room_names,
            "clients": list(self.app.clients),
            "without disconnected": self.connected - goodbyes,
            "disconnected too often": goodbyes - self.connected,
        }
        return {name: what for name, what in everything.items() if what}


@asynccontextmanager
async def ground(
    app: App | None = None,
    *,
    kind: type[Ground] = Ground,
    sock: socket.socket | None = None,
    **settings: Any,
) -> AsyncIterator[Ground]:
    """Serve ``app``, or the chat, while the block runs; then check that no harm is done.

    No task, no socket, no member and no error in the log may be left, ``disconnected`` must have
    been fired once for every ``connected``, and the server must serve.
    """
    app = app or chat_app()
    chosen = Settings(port=0, admin_token="a token that opens", **settings)
    with capture_logs() as logs:
        async with serve(app, chosen, chat_page=True, sock=sock) as server:
            place = kind(app, server)
            app.include(place.watcher())
            before = await _footprint()
            try:
                with trio.fail_after(SECONDS):
                    yield place
                with trio.fail_after(SECONDS):
                    await place.check_still_serving()
            finally:
                await place.close_all()
            await _wait_until_as_before(place, before)
    assert [log for log in logs if log["log_level"] == "error"] == []


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what comes until the end, or until the connection is reset."""
    received = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            received += data
    return received


async def converse(ana: TestClient, bo: TestClient) -> None:
    """Have two new clients sign in, meet in a room, talk, and go."""
    for client, name in ((ana, "Ana"), (bo, "Bo")):
        answer = await client.request(type="auth", name=name, secret=f"of {name}")
        assert answer["user"] == {"id": name, "name": name}
        assert (await client.join("lobby"))["room"] == "lobby"
    reply = await ana.event("say", "lobby", {"text": "hi"})
    for client in (ana, bo):
        heard = await client.receive_type("event")
        assert heard["payload"] == {"text": "hi"}
        assert heard["from"] == {"client": ana.id, "user": "Ana"}
        assert heard["position"] == reply["position"]
    for client in (ana, bo):
        assert (await client.close()).code == 1000


async def closed_by(client: TestClient) -> Closed:
    """Wait for the server's Close frame, answer it and wait for the end of the connection.

    The end must be a clean one, and nothing may come behind the Close frame.
    """
    while (frame := await client.frame()).opcode != CLOSE:
        pass
    await client.stream.send_all(b"\x88\x82\x00\x00\x00\x00" + frame.payload[:2])
    assert await client.stream.receive_some() == b""
    return Closed(frame.code, frame.payload[2:].decode())


async def _wait_until_as_before(place: Ground, before: dict[str, Counter[str]]) -> None:
    """Give the server time to notice, and no more than that."""
    with trio.move_on_after(SECONDS):
        while await _footprint() != before or place.left_behind():
            pass
    assert place.left_behind() == {}
    assert await _footprint() == before


async def _footprint() -> dict[str, Counter[str]]:
    """Return the tasks and sockets there are when everybody has gone as far as they can."""
    await trio.testing.wait_all_tasks_blocked(0.005)
    root = trio.lowlevel.current_root_task()
    assert root is not None
    sockets = sum(_is_socket(int(name)) for name in os.listdir("/dev/fd"))
    return {"tasks": Counter(_task_names(root)), "sockets": Counter(open=sockets)}


def _task_names(task: trio.lowlevel.Task) -> Iterator[str]:
    yield task.name
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _task_names(child)


def _is_socket(descriptor: int) -> bool:
    with contextlib.suppress(OSError):  # the one with which the list was made
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    return False
