"""How many connections the operating system lets this process have."""

from __future__ import annotations

import contextlib
import sys

CONNECTIONS_MOST = 65_536
"""What the server takes on of itself; an idle connection needs some kilobytes of memory."""

RESERVED = 256
"""Descriptors for everything else: files, the broker, and clients that are being refused."""

_UNKNOWN = 1024


def descriptors() -> int:
    """Return how many files and sockets this process may have open."""
    if sys.platform == "win32":
        return _UNKNOWN
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MOST + RESERVED if soft == resource.RLIM_INFINITY else soft


def raise_descriptors() -> None:
    """Let this process have as many descriptors as it may ask for and can use."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MOST + RESERVED
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems have yet another limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_for(descriptors: int) -> int:
    """Return how many connections to take with so many descriptors."""
    return min(max(descriptors - RESERVED, descriptors // 2, 1), CONNECTIONS_MOST)
