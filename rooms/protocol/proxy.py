"""Who is really there behind proxies: PROXY protocol, ``X-Forwarded-For`` and ``Forwarded``.

Anybody can claim anything, so a claim counts only if it was made by a proxy that is trusted: one
goes back from the peer, hop by hop, up to the first that is not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from rooms.protocol.urls import bracketed

Address = IPv4Address | IPv6Address

V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
V1_START: Final = b"PROXY "
V1_BYTES: Final = 107
"""Longest header of version 1, the line's end included."""

V2_BYTES: Final = 4096
"""Longest header of version 2 that is taken; its addresses need 52, the rest are extensions."""

HOPS: Final = 32
"""Proxies that one request is followed back through."""

_V2_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}  # TCP over IP
_V2_KINDS = frozenset(
    family | transport for family in (0, 0x10, 0x20, 0x30) for transport in range(3)
)
_V1_FAMILIES: dict[str, type[Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^]]*:[^]]*)\]|(?P<v4>[0-9.]+))(?::(?P<port>[^:]*))?")


class BadProxyHeader(ValueError):
    """What a proxy sent is not a header of the PROXY protocol."""


class Endpoint(NamedTuple):
    """An address as text, and a port; 0 is one that is not known."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        host = bracketed(self.host)
        return f"{host}:{self.port}" if self.port else host


class ProxyHeader(NamedTuple):
    """A header of the PROXY protocol.

    Attributes:
        source: The client, or None where the proxy speaks for itself, or does not know.
        size: Bytes that the header takes; behind it the client's own begin.
    """

    source: Endpoint | None
    size: int


UNIX_PEER = "unix"
"""The address of whoever comes by a Unix socket, where there are none."""


class Networks:
    """Addresses that are trusted.

    Args:
        texts: Networks such as ``10.1.0.0/16``, single addresses, or ``unix`` for whoever comes
            by a Unix socket.

    Raises:
        ValueError: One is neither; the error says which.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        listed = list(texts)
        self._unix = UNIX_PEER in listed
        self._networks = [ip_network(text) for text in listed if text != UNIX_PEER]

    def __contains__(self, host: str) -> bool:
        if host == UNIX_PEER:
            return self._unix
        if not self._networks:
            return False
        address = parse_address(host)
        return address is not None and any(address in network for network in self._networks)


def parse_address(text: str) -> Address | None:
    """Return the IP address that ``text`` is; IPv4 within IPv6 is IPv4; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])  # without the interface
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_endpoint(text: str) -> Endpoint | None:
    """Return the address, with or without a port, that ``text`` is, or None if it is none."""
    match = _WITH_PORT.fullmatch(text)
    address = parse_address((match["v6"] or match["v4"]) if match else text)
    if address is None:
        return None
    port = (match and match["port"]) or ""
    return Endpoint(str(address), int(port) if _is_port(port) else 0)


def endpoint_of(host: str, port: int) -> Endpoint:
    """Return a socket's address; IPv4 within IPv6 is IPv4."""
    if host.startswith("::ffff:"):
        host = str(parse_address(host) or host)
    return Endpoint(host, port)


def client_behind(
    peer: Endpoint, headers: Mapping[str, str], header: str, trusted: Networks
) -> Endpoint:
    """Return who is the first, seen from here, that is not a trusted proxy.

    Where a proxy did not say whom it speaks for, or not in a way that can be read, it is the
    proxy itself.

    Args:
        peer: Who is connected.
        headers: Of the request, names in lower case; of one sent twice, the values joined.
        header: The one that the proxies write, ``x-forwarded-for`` or ``forwarded``.  A client
            may have sent the other, so only one can be believed.
    """
    client = peer
    for hop in headers.get(header, "").split(",")[: -HOPS - 1 : -1]:
        if client.host not in trusted:
            break
        said = parse_endpoint(_forwarded("for", hop) if header == "forwarded" else hop.strip())
        if said is None:
            break
        client = said
    return client


def forwarded_site(headers: Mapping[str, str], header: str) -> tuple[str, str]:
    """Return the scheme and the host that a trusted proxy was asked for; empty if it says nothing.

    Args:
        headers: Of the request, as for `client_behind`; what was added last is the proxy's own.
        header: The one that the proxies write, as for `client_behind`.
    """
    if header == "forwarded":
        element = headers.get(header, "").rpartition(",")[2]
        return _forwarded("proto", element).lower(), _forwarded("host", element)
    scheme, host = headers.get("x-forwarded-proto", ""), headers.get("x-forwarded-host", "")
    return scheme.rpartition(",")[2].strip().lower(), host.rpartition(",")[2].strip()


def _forwarded(wanted: str, element: str) -> str:
    """Return a parameter of one element of ``Forwarded`` (RFC 7239, section 4), or nothing.

    No quoted string is looked for beyond a comma: a client could open one, and the proxy's own
    element would be swallowed by it.
    """
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == wanted:
            value = value.strip()
            return value[1:-1] if value.startswith('"') and value.endswith('"') else value
    return ""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header that ``data`` begins with, or None if more must arrive first.

    It is the PROXY protocol, version 1 or 2, as HAProxy's specification has it.

    Raises:
        BadProxyHeader: ``data`` does not begin with one.
    """
    if data.startswith(V1_START):
        return _parse_v1(data)
    if data.startswith(V2_SIGNATURE):
        return _parse_v2(data)
    if V1_START.startswith(data) or V2_SIGNATURE.startswith(data):
        return None
    raise BadProxyHeader("it begins with something else")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES:
            raise BadProxyHeader(f"the line is longer than {V1_BYTES} bytes")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(None, end + 2)
    if len(words) != 6 or words[1] not in _V1_FAMILIES:
        raise BadProxyHeader("the line is not of the form PROXY TCP4 SOURCE DESTINATION PORT PORT")
    family = _V1_FAMILIES[words[1]]
    source, _ = _v1_address(words[2], family), _v1_address(words[3], family)
    port, _ = _v1_port(words[4]), _v1_port(words[5])
    return ProxyHeader(Endpoint(source, port), end + 2)


def _v1_address(text: str, family: type[Address]) -> str:
    try:
        return str(parse_address(str(family(text))))
    except ValueError as error:
        raise BadProxyHeader(str(error)) from None


def _v1_port(text: str) -> int:
    if not _is_port(text):
        raise BadProxyHeader(f"{text!r} is not a port")
    return int(text)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65536


def _parse_v2(data: bytes) -> ProxyHeader | None:
    start = len(V2_SIGNATURE)
    if len(data) < start + 4:
        return None
    command, kind, length = struct.unpack_from("!BBH", data, start)
    size = start + 4 + length
    if command not in (0x20, 0x21) or kind not in _V2_KINDS:
        raise BadProxyHeader("its version, command or kind of address is unknown")
    if size > V2_BYTES:
        raise BadProxyHeader(f"it is longer than {V2_BYTES} bytes")
    if len(data) < size:
        return None
    form = _V2_ADDRESSES.get(kind)
    if command == 0x20 or form is None:
        return ProxyHeader(None, size)
    if length < form.size:
        raise BadProxyHeader("it is too short for its addresses")
    source, _, port, _ = form.unpack_from(data, start + 4)
    return ProxyHeader(Endpoint(str(parse_address(str(ip_address(source)))), port), size)
