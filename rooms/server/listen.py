"""One port for everything: accepts connections and keeps each from all the others."""

from __future__ import annotations

import errno
import socket
import ssl

import structlog
import trio

from rooms.server.door import Door

ACCEPT_BATCH = 64
"""Connections accepted in one wake-up."""

PAUSE_SECONDS = 0.1
"""How long to wait when the process has no file descriptor left."""

_GONE_BEFORE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)

log = structlog.get_logger("rooms")


class Listener:
    """Accepts connections until it is told to stop, and gives each to the door.

    Args:
        sock: Bound and listening.
        tls: What the port speaks TLS with, if it does.
    """

    def __init__(self, door: Door, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        sock.setblocking(False)
        self._door = door
        self._socket = sock
        self._tls = tls
        self._accepting = trio.CancelScope()
        self.port: int = sock.getsockname()[1]

    def stop(self) -> None:
        """Accept no more; what is connected stays connected."""
        self._accepting.cancel()

    async def run(self) -> None:
        """Accept and serve until `stop`, then until the last connection has ended."""
        async with trio.open_nursery() as nursery:
            with self._accepting:
                while True:
                    await trio.lowlevel.wait_readable(self._socket)
                    await self._accept_batch(nursery)
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def _accept_batch(self, nursery: trio.Nursery) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _GONE_BEFORE:
                    log.error("cannot accept a connection", error=str(error))
                    await trio.sleep(PAUSE_SECONDS)
                    return
            else:
                remote = f"{address[0]}:{address[1]}"
                nursery.start_soon(self._serve, connection, remote, name="connection")

    async def _serve(self, connection: socket.socket, remote: str) -> None:
        """Serve one connection and close it: the fence between it and all others."""
        try:
            with connection:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is None:
                    await self._door.serve_socket(connection, remote)
                else:
                    await self._door.serve_tls(connection, self._tls, remote)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as group:
            log.debug("connection lost", remote=remote, error=repr(group.exceptions[0]))
        except* Exception as group:
            log.error("connection failed", remote=remote, exc_info=group)
