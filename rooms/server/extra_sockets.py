"""Sockets beside the main one, for admins or for WebSockets alone: a TCP port or a Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rooms.config import Settings
from rooms.errors import ConfigError
from rooms.server.sockets import BACKLOG, open_socket

UNIX = "unix:"
OWNER = 0o600
OWNER_AND_GROUP = 0o660
"""Who may connect to a Unix socket."""


@contextmanager
def open_admin_socket(settings: Settings) -> Iterator[socket.socket | None]:
    """Yield the listening socket that the setting `admin_bind` names, and close it at the end.

    None if it is not set.

    Raises:
        ConfigError: It is no address, or the address cannot be had.
    """
    if settings.admin_bind and not settings.http:
        raise ConfigError("admin_bind needs http: there is no admin API without it.")
    with _open("admin_bind", settings, OWNER) as sock:
        yield sock


@contextmanager
def open_websocket_socket(settings: Settings) -> Iterator[socket.socket | None]:
    """As `open_admin_socket` for `ws_bind`; its owner's group may use a Unix socket too.

    Raises:
        ConfigError: It is no address, or the address cannot be had.
    """
    with _open("ws_bind", settings, OWNER_AND_GROUP) as sock:
        yield sock


@contextmanager
def _open(name: str, settings: Settings, mode: int) -> Iterator[socket.socket | None]:
    where: str = getattr(settings, name)
    if not where:
        yield None
    elif where.startswith(UNIX):
        if settings.workers > 1:
            raise ConfigError(f"Several workers cannot share a Unix socket: bind {name} to a port.")
        if where == UNIX:
            raise _no_address(name, where)
        path = Path(where.removeprefix(UNIX))
        with _unix_socket(name, path, mode, replace=settings.reuse_port) as sock:
            yield sock
    else:
        host, port = _host_and_port(name, where)
        shared = settings.reuse_port or settings.workers > 1
        with open_socket(host, port, shared=shared) as sock:
            yield sock


def _host_and_port(name: str, where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise _no_address(name, where)
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _no_address(name: str, where: str) -> ConfigError:
    return ConfigError(f"{name} {where!r} is no address: write ADDRESS:PORT or unix:PATH.")


@contextmanager
def _unix_socket(name: str, path: Path, mode: int, *, replace: bool) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            _make_way(name, path, replace=replace)
            _bind(sock, path, mode)
            sock.listen(BACKLOG)
        except OSError as error:
            detail = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigError(f"Cannot listen on unix:{path}: {detail}.") from None
        ours = path.stat().st_ino
        try:
            yield sock
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == ours:  # else another server has taken over
                    path.unlink()


def _make_way(name: str, path: Path, *, replace: bool) -> None:
    """Check that nothing but an old socket is in the way.

    Raises:
        ConfigError: There is something else, or a server that is not to be replaced.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} is no socket: move it away or choose another {name}.")
    if not replace and _is_served(path):
        raise ConfigError(f"Another server listens on unix:{path}: stop it first.")


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # it listens, and many wait already
            return True
        return True


def _bind(sock: socket.socket, path: Path, mode: int) -> None:
    """Bind beside the path and move it there: at no time is there one that others may use."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(str(beside))
    finally:
        os.umask(before)
    try:
        beside.replace(path)
    except OSError:
        beside.unlink()
        raise
