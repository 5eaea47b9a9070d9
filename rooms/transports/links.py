"""Links over a socket that is ours, and over any Trio stream (memory, Unix sockets)."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable

import trio

from rooms.transports.base import Link
from rooms.transports.poller import Poller

RECEIVE_BYTES = 65536

_CONFIRMED = struct.Struct("=120xQ")  # tcpi_bytes_acked of Linux's struct tcp_info


class SocketLink(Link):
    """A connected, non-blocking TCP socket, used without anything in between.

    Args:
        poller: Reads the socket once it is watched, where the platform has one.
    """

    __slots__ = ("_call", "_paused", "_poller", "_watched", "send_nowait", "socket")

    def __init__(self, sock: socket.socket, poller: Poller | None = None) -> None:
        self.socket = sock
        self.send_nowait = sock.send  # as it is: most of the server's time is spent in this call
        self._poller = poller
        self._watched = False
        self._paused = False
        self._call: Callable[[bytes], None]

    def watch(self, call: Callable[[bytes], None]) -> bool:
        if self._poller is None:
            return False
        self._call = call
        self._watched = True
        self._poller.add(self.socket, self._readable)
        return True

    def pause(self) -> None:
        if self._watched and not self._paused and self._poller is not None:
            self._paused = True
            self._poller.pause(self.socket)

    def resume(self) -> None:
        if self._watched and self._paused and self._poller is not None:
            self._paused = False
            self._poller.resume(self.socket)

    def _unwatch(self) -> None:
        if self._watched and self._poller is not None:
            self._watched = False
            self._poller.remove(self.socket)

    def _readable(self) -> None:
        data = b""
        try:
            if not self._paused:  # else only the peer's leaving calls
                data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch()
        self._call(data)

    async def send_all(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            await trio.lowlevel.checkpoint()
            while view:
                try:
                    view = view[self.socket.send(view) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self.socket)
        except OSError as error:
            raise trio.BrokenResourceError from error

    def progress(self) -> int | None:
        return _confirmed(self.socket)

    async def receive_some(self) -> bytes:
        while True:
            try:
                await trio.lowlevel.wait_readable(self.socket)
                return self.socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def finish(self) -> None:
        self._unwatch()
        with contextlib.suppress(OSError, trio.BrokenResourceError):
            self.socket.shutdown(socket.SHUT_WR)
            while await self.receive_some():
                pass

    def stream(self) -> trio.abc.Stream:
        """Return the connection as a Trio stream, for somebody else to use."""
        return trio.SocketStream(trio.socket.from_stdlib_socket(self.socket))

    async def aclose(self) -> None:
        self._unwatch()  # before the number of the descriptor can belong to another connection
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()
        await trio.lowlevel.checkpoint()


def _confirmed(sock: socket.socket) -> int | None:
    """Return how many bytes the peer's kernel has confirmed, where ours says."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _CONFIRMED.size)
    except OSError:  # closed, or no TCP
        return None
    return _CONFIRMED.unpack(info)[0] if len(info) == _CONFIRMED.size else None


class StreamLink(Link):
    """Any Trio stream: nothing can be sent at once, so the outbox's writer does all the work."""

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    def send_nowait(self, data: bytes) -> int:  # never at once
        raise BlockingIOError

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def receive_some(self) -> bytes:
        return bytes(await self._stream.receive_some(RECEIVE_BYTES))

    async def finish(self) -> None:
        stream = self._stream
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
                while await stream.receive_some(RECEIVE_BYTES):
                    pass
            else:
                await stream.aclose()

    def stream(self) -> trio.abc.Stream:
        """Return the connection as a Trio stream, for somebody else to use."""
        return self._stream

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)
