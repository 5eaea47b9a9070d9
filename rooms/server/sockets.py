"""The socket that a server listens on: its own, one shared with others, or one it is handed."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping

from rooms.errors import ConfigError

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel has its own limit too."""

FIRST_INHERITED = 3
"""The first descriptor that a service manager hands over (``sd_listen_fds``)."""


def open_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket.

    Args:
        shared: Let other servers of this user listen on the same port at the same time; the
            kernel gives each new connection to one of them.

    Raises:
        ConfigError: The address cannot be had.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"{port} is not a port: choose 0 to 65535.")
    if not host:  # to `bind` it would mean every address
        raise ConfigError("An empty host is no address: leave it out, or say 0.0.0.0 for all.")
    if shared and not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError("This system has no shared ports: leave --reuse-port out.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except (OSError, TypeError) as error:
        raise ConfigError(_trouble(host, port, error)) from None


def inherited_socket(environment: MutableMapping[str, str]) -> socket.socket | None:
    """Return the listening socket that a service manager has handed over, if it has.

    That is what systemd does for a service with a socket unit: ``LISTEN_PID`` is this process,
    ``LISTEN_FDS`` how many there are.  Both are taken out of ``environment``, so that no child
    takes them for its own.

    Raises:
        ConfigError: There is more than one, or it is not a listening TCP socket.
    """
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "0")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count == "0":
        return None
    if count != "1":
        raise ConfigError(f"There are {count} sockets in LISTEN_FDS: hand over one.")
    return _adopt(FIRST_INHERITED)


def _adopt(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(f"LISTEN_FDS: descriptor {descriptor} is no socket: {error}.") from None
    tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not (tcp and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        sock.detach()
        raise ConfigError(f"LISTEN_FDS: descriptor {descriptor} is not a listening TCP socket.")
    return sock


def _trouble(host: str, port: int, error: OSError | TypeError) -> str:
    if isinstance(error, TypeError) or (error.errno or 0) < 0:  # getaddrinfo's
        return f"There is no address {host!r} here: say 127.0.0.1 or ::1, or 0.0.0.0 for all."
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what uses it or choose another."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023."
    detail = os.strerror(error.errno) if error.errno else str(error)
    return f"Cannot listen on {host}:{port}: {detail}."
