"""One port for everything: accepts connections and keeps each from all the others."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import Any

import structlog
import trio

from rooms.protocol.http import BadHead, response
from rooms.protocol.proxy import UNIX_PEER, Endpoint, endpoint_of
from rooms.server.admission import Visit
from rooms.server.door import Door
from rooms.server.refusals import SeldomLog

ACCEPT_BATCH = 64
"""Most connections accepted in one wake-up."""

LEAST_BATCH = 4

TURN_SECONDS = 0.02
"""Fewer are accepted while everybody else's turn takes longer: who is in comes first."""

LAST_BATCH = 4096
"""Connections accepted when the server stops; as many as may wait."""

PAUSE_SECONDS = 0.1
"""How long to wait when the process has no file descriptor left."""

READ_BYTES = 65536

UNIX_FAMILY: int | None = getattr(socket, "AF_UNIX", None)
"""Only POSIX has it."""

_GONE_BEFORE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)

log = structlog.get_logger("rooms")


class Listener:
    """Accepts connections until it is told to stop, and gives each to the door.

    Args:
        sock: Bound and listening, for TCP or of a Unix socket.
        tls: What the port speaks TLS with, if it does.
        inherited: Whether somebody else has the socket too, and will accept what waits in it.

    Attributes:
        tls: The same; a new one holds for new connections.
        port: The port; 0 of a Unix socket.
        closed: Set when the port is closed, and everybody who has been accepted is being served.
    """

    def __init__(
        self,
        door: Door,
        sock: socket.socket,
        tls: ssl.SSLContext | None = None,
        *,
        inherited: bool = False,
    ) -> None:
        sock.setblocking(False)
        self._door = door
        self._socket = sock
        self.tls = tls
        self._inherited = inherited
        self._accepting = trio.CancelScope()
        self._log = SeldomLog()
        self._batch = ACCEPT_BATCH
        self.closed = trio.Event()
        self.port: int = 0 if sock.family == UNIX_FAMILY else sock.getsockname()[1]

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
                    await self._let_others_have_their_turn()
            trio.lowlevel.notify_closing(self._socket)
            if not self._inherited:
                self._accept_last(nursery)
            self._socket.close()
            self.closed.set()

    def _accept_last(self, nursery: trio.Nursery) -> None:
        """Accept those who wait already: closing the socket would reset their connections."""
        for _ in range(LAST_BATCH):
            try:
                connection, address = self._socket.accept()
            except OSError as error:
                if error.errno in _GONE_BEFORE:
                    continue
                return  # nobody waits, or there is no descriptor left for them
            self._let_in(nursery, connection, address)

    async def _accept_batch(self, nursery: trio.Nursery) -> None:
        for _ in range(self._batch):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _GONE_BEFORE:
                    self._complain(error)
                    await trio.sleep(PAUSE_SECONDS)
                    return
            else:
                self._let_in(nursery, connection, address)

    async def _let_others_have_their_turn(self) -> None:
        """Learn from how long that takes how many to accept next."""
        before = trio.current_time()
        await trio.lowlevel.checkpoint()
        self._batch = next_batch(self._batch, trio.current_time() - before)

    def _complain(self, error: OSError) -> None:
        """Say, though not each time, that the system has no more to give."""
        unsaid = self._log.turn("accept")
        if unsaid is not None:
            log.error(
                "cannot accept a connection: raise `ulimit -n` or lower `connections`",
                error=str(error),
                unsaid=unsaid,
            )

    def _let_in(
        self, nursery: trio.Nursery, connection: socket.socket, address: tuple[Any, ...]
    ) -> None:
        connection.setblocking(False)
        peer = endpoint_of(address[0], address[1]) if address else Endpoint(UNIX_PEER)
        visit = self._door.admission.arrive(peer)
        if isinstance(visit, BadHead):
            self._turn_away(connection, visit)
        else:
            nursery.start_soon(self._serve, connection, visit, name="connection")

    def _turn_away(self, connection: socket.socket, refusal: BadHead) -> None:
        """Close a connection, with an answer as far as that goes without waiting.

        What has arrived is read first: else closing would be a reset, and destroy the answer.
        """
        with connection, contextlib.suppress(OSError):
            if self.tls is None and refusal.status is not None:
                with contextlib.suppress(BlockingIOError):
                    connection.recv(READ_BYTES)
                connection.send(response(refusal))

    async def _serve(self, connection: socket.socket, visit: Visit) -> None:
        """Serve one connection and close it: the fence between it and all others."""
        try:
            with connection:
                if connection.family != UNIX_FAMILY:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls is None:
                    await self._door.serve_socket(connection, visit)
                else:
                    await self._door.serve_tls(connection, self.tls, visit)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as group:
            log.debug("connection lost", remote=visit.remote, error=repr(group.exceptions[0]))
        except* (Exception, SystemExit) as group:  # no view of a page ends the server, either
            log.error("connection failed", remote=visit.remote, exc_info=group)
        finally:
            self._door.admission.leave(visit)


def next_batch(batch: int, seconds: float) -> int:
    """Return how many connections to accept at a time after everybody had a turn.

    Args:
        batch: How many it were before.
        seconds: How long that turn took.
    """
    if seconds > TURN_SECONDS:
        return max(LEAST_BATCH, batch // 2)
    return min(ACCEPT_BATCH, batch * 2)
