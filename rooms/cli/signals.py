"""What signals ask a server for."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from rooms.serving import Server

HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""Only POSIX has it."""

log = structlog.get_logger("rooms")


def handled() -> list[int]:
    """Return the signals to listen for."""
    return [signal.SIGINT, signal.SIGTERM, *([] if HANGUP is None else [HANGUP])]


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def dies_with_terminal() -> bool:
    """Whether this process was started in a terminal and is to end with it: not by ``nohup``."""
    return HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN and has_terminal()


class Signals:
    """Does what signals ask for.

    SIGTERM drains the server, SIGINT stops it without, and a second one stops it at once.  SIGHUP
    reloads its settings, but when it says that the terminal is gone it stops the server.

    Args:
        reload: Loads the settings anew, and logs what has become of it.
        bound: Whether the server is to end with its terminal.
    """

    def __init__(self, reload: Callable[[Server], None], *, bound: bool) -> None:
        self._reload = reload
        self._bound = bound
        self._server: Server | None = None
        self._stop = trio.Event()
        self._drains = False

    async def obey(self, signals: AsyncIterator[int], start: trio.CancelScope) -> None:
        """Obey one after the other, for ever.

        Args:
            start: Cancelled if the server is to stop before it has started.
        """
        async for number in signals:
            if number == HANGUP and not (self._bound and not has_terminal()):
                self._hang_up()
            elif self._server is None:
                start.cancel()
            elif self._stop.is_set():
                log.warning("stopping at once")
                self._server.abandon()
            else:
                self._drains = number == signal.SIGTERM
                self._stop.set()

    async def watch(self, server: Server) -> None:
        """Return when ``server`` is to stop, and has been drained if that was asked for."""
        self._server = server
        await self._stop.wait()
        if self._drains:
            await server.drain()

    def _hang_up(self) -> None:
        if self._server is not None and not self._stop.is_set():
            self._reload(self._server)
