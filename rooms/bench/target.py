"""Where the load goes.  This machine only, unless somebody says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from msgspec import Struct

from rooms.bench.errors import BenchError
from rooms.protocol.urls import bracketed

DEFAULT_PORTS = {"ws": 80, "wss": 443}


class Target(Struct, frozen=True):
    """A server's address, resolved.

    Attributes:
        more_ports: Where the other nodes listen, if the server consists of several.
    """

    url: str
    host: str
    address: str
    port: int
    path: str
    tls: bool
    more_ports: tuple[int, ...] = ()

    @property
    def ipv6(self) -> bool:
        """Whether the address is one of IPv6."""
        return ":" in self.address

    @property
    def loopback(self) -> bool:
        """Whether the address is on this machine."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def authority(self) -> str:
        """What the Host header says (RFC 9112, section 3.2)."""
        return f"{bracketed(self.host)}:{self.port}"

    def port_of(self, turn: int) -> int:
        """Return the port of the node whose turn it is: clients go to all nodes, one by one."""
        return (self.port, *self.more_ports)[turn % (1 + len(self.more_ports))]


def resolve(url: str, remote: bool = False) -> Target:
    """Return the target behind a ``ws://`` or ``wss://`` URL.

    Raises:
        BenchError: The URL is none of a WebSocket, its host is unknown, or it is another machine
            and ``remote`` is not set.
    """
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise BenchError(f"{url!r} is not a WebSocket URL such as ws://127.0.0.1:8000/ws.")
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise BenchError(f"{url!r} cannot be resolved: {error}.") from None
    address = str(found[0][4][0])
    target = Target(url, parts.hostname, address, port, parts.path, parts.scheme == "wss")
    if not remote and not target.loopback:
        raise BenchError(
            f"{parts.hostname} ({address}) is another machine. Only load servers that are yours; "
            "say --remote if this one is."
        )
    return target
