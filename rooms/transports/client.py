"""Connects to a WebSocket server: the client's end of a link, its opening handshake done."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import trio

from rooms.protocol.client_handshake import Address, BadAnswer, check_answer, client_request
from rooms.protocol.http import END_OF_HEAD
from rooms.transports.base import Link
from rooms.transports.links import SocketLink, StreamLink

HEAD_BYTES = 16384
"""The largest answer to a request."""


class Connected(NamedTuple):
    """A connection to a server.

    Attributes:
        subprotocol: The one that it selected.
        extra: What came behind its answer.
    """

    link: Link
    subprotocol: str | None
    extra: bytes


async def connect(
    address: Address,
    tls: ssl.SSLContext | None = None,
    *,
    subprotocols: Sequence[str] = (),
    headers: Iterable[tuple[str, str]] = (),
) -> Connected:
    """Connect, and ask for a WebSocket; closing the link is the caller's.

    Args:
        tls: For ``wss://``; without it the system's certificates are trusted.
        subprotocols: To offer, most wanted first.
        headers: Further ones of the request.

    Raises:
        OSError, trio.BrokenResourceError: There is nobody, or not for long.
        BadAnswer: It does not accept.
        ValueError: A header is none.
    """
    key = os.urandom(16)
    request = client_request(address, key, subprotocols, headers)
    link, accepted = await open_link(address, tls), False
    try:
        await link.send_all(request)
        answer, extra = await _read_head(link)
        subprotocol = check_answer(answer, key, subprotocols)
        accepted = True
    finally:
        if not accepted:
            with trio.CancelScope(shield=True):
                await link.aclose()
    return Connected(link, subprotocol, extra)


async def open_link(address: Address, tls: ssl.SSLContext | None = None) -> Link:
    """Connect without asking for anything yet.

    Raises:
        OSError, trio.BrokenResourceError: There is nobody, or its certificate is not trusted.
    """
    stream = await trio.open_tcp_stream(address.host, address.port)
    if not address.tls:
        return SocketLink(_taken_from(stream))
    context = tls or ssl.create_default_context()
    secure = trio.SSLStream(stream, context, server_hostname=address.host, https_compatible=True)
    trusted = False
    try:
        await secure.do_handshake()
        trusted = True
    finally:
        if not trusted:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(secure)
    return StreamLink(secure)


def _taken_from(stream: trio.SocketStream) -> socket.socket:
    """Return the socket of a stream, which is of no use any more."""
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    return sock


async def _read_head(link: Link) -> tuple[bytes, bytes]:
    data = b""
    while END_OF_HEAD not in data:
        if len(data) > HEAD_BYTES:
            raise BadAnswer("its answer is too long")
        received = await link.receive_some()
        if not received:
            raise BadAnswer("it hung up instead of answering")
        data += received
    head, _, extra = data.partition(END_OF_HEAD)
    return head + END_OF_HEAD, extra
