"""One task that reads all open sockets, through an epoll object of its own.

Waking a task for every socket that became readable costs more than reading it does.  Here the
kernel names all readable sockets at once, each is read where it stands, and what all of them
caused is written at the end of the batch.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Protocol

import trio

BATCH = 512
"""Sockets read before others may run."""


BATCH_BYTES = 256 * 1024
"""A batch ends when so much was published: every member of a room may have to keep all of it."""


class Tick(Protocol):
    """What a batch of input caused."""

    @property
    def size(self) -> int: ...


class Flusher(Protocol):
    """Writes what a batch of input caused."""

    batching: bool

    @property
    def tick(self) -> Tick: ...

    async def flush(self) -> None: ...


class Poller:
    """Calls a plain function for every socket that can be read; made where epoll exists."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}

    @staticmethod
    def available() -> bool:
        """Whether this platform has what it takes."""
        return hasattr(select, "epoll")

    def add(self, sock: socket.socket, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever ``sock`` can be read or has come to its end."""
        self._epoll.register(sock, select.EPOLLIN)
        self._calls[sock.fileno()] = call

    def pause(self, sock: socket.socket) -> None:
        """Call for ``sock`` only if its peer leaves, until `resume`."""
        self._epoll.modify(sock, select.EPOLLRDHUP)

    def resume(self, sock: socket.socket) -> None:
        """Undo `pause`."""
        self._epoll.modify(sock, select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Forget ``sock``; must come before it is closed."""
        del self._calls[sock.fileno()]
        self._epoll.unregister(sock)

    async def run(self, flusher: Flusher) -> None:
        """Read whatever can be read, for ever."""
        with self._epoll:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                flusher.batching = True
                try:
                    self._read_batch(flusher.tick)
                finally:
                    flusher.batching = False
                await flusher.flush()

    def _read_batch(self, tick: Tick) -> None:
        for descriptor, _ in self._epoll.poll(0, BATCH):
            call = self._calls.get(descriptor)  # an earlier one may have removed it
            if call is not None:
                call()
                if tick.size > BATCH_BYTES:
                    return  # the others are named again
