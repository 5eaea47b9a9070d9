"""A link as a Trio stream, for servers that know nothing of links."""

from __future__ import annotations

import socket

import trio

from rooms.transports.base import Link


class LinkStream(trio.abc.Stream):
    """Reads and writes a link; closing the stream closes the link.

    Args:
        link: Nobody else may use it from now on.
        sock: Under the link; only asked for its addresses.
    """

    def __init__(self, link: Link, sock: socket.socket | None = None) -> None:
        self._link = link
        self.socket = None if sock is None else trio.socket.from_stdlib_socket(sock)
        self._read = b""  # more than was asked for

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._link.send_all(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = self._read or await self._link.receive_some()
        await trio.lowlevel.checkpoint()
        size = len(data) if max_bytes is None else max_bytes
        part, self._read = data[:size], data[size:]
        return part

    async def aclose(self) -> None:
        await self._link.aclose()
