"""One of several server processes: how it is started, and how it knows that it is one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec
import trio
from msgspec import Struct

VARIABLE = "_ROOMS_WORKER"
READY = b"r"


class Orders(Struct, frozen=True):
    """What a worker is told by whoever started it.

    Attributes:
        number: Which worker it is, counted from 1.
        listen: The descriptor of the socket that it shares with the others.
        control: The descriptor of a socket that says when it serves, and ends when it is to end.
        settings: Outweigh all others.
    """

    number: int
    listen: int
    control: int
    settings: dict[str, Any]


def take_orders(environment: MutableMapping[str, str]) -> Orders | None:
    """Return what this process was told, if it is a worker; no child of it is to see that."""
    text = environment.pop(VARIABLE, None)
    if text is None:
        return None
    orders = msgspec.json.decode(text, type=Orders)
    for descriptor in (orders.listen, orders.control):
        os.set_inheritable(descriptor, False)
    return orders


class Process:
    """A worker, as its supervisor sees it.

    Args:
        announce: Called when it serves.
    """

    def __init__(
        self, process: trio.Process, control: trio.SocketStream, announce: Callable[[], None]
    ) -> None:
        self._process = process
        self._control = control
        self._announce = announce
        self.serving = False

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Return its status once it has ended."""
        async with self._control:
            if await self._control.receive_some(1) == READY:
                self.serving = True
                self._announce()
            return await self._process.wait()


async def start_process(
    arguments: Sequence[str],
    number: int,
    listen: socket.socket,
    settings: Mapping[str, Any],
    announce: Callable[[], None],
) -> Process:
    """Start ``rooms`` with these arguments as a worker.

    It has a session of its own: what is typed in the terminal is its supervisor's to pass on.

    Args:
        listen: Shared with the others.
        settings: Outweigh all others.
        announce: Called when it serves.
    """
    ours, its = socket.socketpair()
    with its, contextlib.ExitStack() as failing:
        failing.enter_context(ours)
        orders = Orders(number, listen.fileno(), its.fileno(), dict(settings))
        environment = os.environ | {VARIABLE: msgspec.json.encode(orders).decode()}
        process = await trio.lowlevel.open_process(
            # -P: files of the current folder are no modules of ours, whatever they are called
            [sys.executable, "-P", "-m", "rooms", *arguments],
            env=environment,
            pass_fds=(listen.fileno(), its.fileno()),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        failing.pop_all()
    return Process(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)), announce)


async def report(orders: Orders) -> None:
    """Tell the supervisor that this worker serves; drain it if the supervisor has died."""
    sock = trio.socket.from_stdlib_socket(socket.socket(fileno=orders.control))
    with contextlib.suppress(trio.BrokenResourceError):
        async with trio.SocketStream(sock) as control:
            await control.send_all(READY)
            await control.receive_some(1)
    os.kill(os.getpid(), signal.SIGTERM)
