"""Which sockets are ready."""

from __future__ import annotations

import select
from typing import Protocol

READ = 0x1
WRITE = 0x4


class Poller(Protocol):
    """The part of ``select.epoll`` that a worker needs; `READ` and `WRITE` are its masks."""

    def register(self, fd: int, mask: int) -> None: ...

    def modify(self, fd: int, mask: int) -> None: ...

    def unregister(self, fd: int) -> None: ...

    def poll(self, timeout: float, /) -> list[tuple[int, int]]: ...

    def close(self) -> None: ...


def open_poller() -> Poller:
    """Return the fastest poller that this system has."""
    return select.epoll() if hasattr(select, "epoll") else PollPoller()


class PollPoller:
    """`Poller` by ``poll``, for systems without epoll: slower with many connections."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        return self._poll.poll(timeout * 1000)

    def close(self) -> None:
        """Nothing to give back."""
