"""A network that fails when a test says so: a TCP proxy between clients and a server."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

RECEIVE_BYTES = 65536
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Direction:
    """What one side of a line says, on its way to the other side.

    Attributes:
        chunk_bytes: The most bytes that are sent at once; 1 delivers byte by byte.
        delay: Seconds before each chunk; with small chunks that is a slow drip.
        passed: How many bytes have been sent on.
    """

    def __init__(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        self.chunk_bytes = RECEIVE_BYTES
        self.delay = 0.0
        self.passed = 0
        self._source = source
        self._sink = sink
        self._allowed: float = math.inf
        self._changed = trio.Event()
        self._running = trio.CancelScope()
        self._trap: tuple[int, Callable[[], None]] | None = None

    def stall(self) -> None:
        """Let nothing more through; whoever sends will find that the network takes no more."""
        self.allow(0)

    def allow(self, size: float) -> None:
        """Let ``size`` more bytes through, and then nothing."""
        self._allowed = size
        self._changed.set()

    def resume(self) -> None:
        """Let everything through again."""
        self.allow(math.inf)

    def half_close(self) -> None:
        """Tell the receiver that nothing more will come; the other direction goes on."""
        self._running.cancel()

    def spring(self, size: int, fault: Callable[[], None]) -> None:
        """Call ``fault`` when ``size`` more bytes have gone through, before the next one does."""
        self._trap = (self.passed + size, fault)

    async def run(self) -> None:
        """Pass on what comes until the sender's end, then pass on that.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: One of the two is gone.
        """
        with self._running:
            while data := await self._source.receive_some(RECEIVE_BYTES):
                await self._pass(data)
        await self._sink.send_eof()

    async def _pass(self, data: bytes | bytearray) -> None:
        while data:
            size = await self._next_size(len(data))
            part, data = data[:size], data[size:]
            self.passed += size
            self._allowed -= size
            await self._sink.send_all(part)
            if self._trap is not None and self._trap[0] <= self.passed:
                (_, fault), self._trap = self._trap, None
                fault()

    async def _next_size(self, most: int) -> int:
        """Wait until something may go through, and return how much."""
        while self._allowed <= 0:
            self._changed = trio.Event()
            await self._changed.wait()
        if self.delay:
            await trio.sleep(self.delay)
        until_trap = math.inf if self._trap is None else self._trap[0] - self.passed
        return max(0, int(min(most, self.chunk_bytes, self._allowed, until_trap)))


class Line:
    """One connection through a `FaultProxy`.

    Attributes:
        up: From the client to the server.
        down: From the server to the client.
        closed: Set when nothing of the line is left.
    """

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self.up = Direction(client, server)
        self.down = Direction(server, client)
        self.closed = trio.Event()
        self._streams = (client, server)
        self._scope = trio.CancelScope()

    def cut(self) -> None:
        """End the connection on both sides; what is under way between them is lost."""
        self._scope.cancel()

    def reset(self) -> None:
        """As `cut`, but with a reset, which also destroys what was not read yet."""
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.cut()

    async def run(self) -> None:
        """Carry both directions until both have ended, or one of the two is gone."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, self.up)
                    nursery.start_soon(self._carry, self.down)
        finally:
            for stream in self._streams:
                stream.socket.close()
            self.closed.set()

    async def _carry(self, direction: Direction) -> None:
        try:
            await direction.run()
        except _GONE:
            self.reset()


class FaultProxy:
    """Takes connections for a server on this machine; made by `fault_proxy`.

    Attributes:
        port: Where clients connect.
        lines: The open connections, by the address that the client has.
        fault: Done to each new line before anything passes, if it is set.
    """

    def __init__(self, port: int, server_port: int) -> None:
        self.port = port
        self.lines: dict[tuple[str, int], Line] = {}
        self.fault: Callable[[Line], None] | None = None
        self._server_port = server_port
        self._news = trio.lowlevel.ParkingLot()

    async def open_stream(self) -> tuple[trio.SocketStream, Line]:
        """Connect a client; returns its stream, and the line to do harm to."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        address = stream.socket.getsockname()
        while address not in self.lines:
            await self._news.park()
        return stream, self.lines[address]

    async def serve(self, client: trio.SocketStream) -> None:
        """Carry one client's connection until it ends."""
        address = client.socket.getpeername()
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        except OSError:
            await trio.aclose_forcefully(client)
            return
        line = self.lines[address] = Line(client, server)
        if self.fault is not None:
            self.fault(line)
        self._news.unpark_all()
        try:
            await line.run()
        finally:
            del self.lines[address]


@asynccontextmanager
async def fault_proxy(server_port: int) -> AsyncIterator[FaultProxy]:
    """Take connections for the server on ``server_port`` while the block runs.

    ::

        async with fault_proxy(server.port) as proxy:
            stream, line = await proxy.open_stream()
            line.down.stall()

    A socket buffers: what has gone through is not always what the other side has read.
    """
    async with trio.open_nursery() as nursery:
        listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy = FaultProxy(listener.socket.getsockname()[1], server_port)
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
