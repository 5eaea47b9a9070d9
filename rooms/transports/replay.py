"""A stream whose first bytes have been read already."""

from __future__ import annotations

from typing import Any

import trio


class ReplayStream(trio.abc.HalfCloseableStream):
    """Gives ``head`` again and then goes on with ``inner``, which it stands for in all else.

    Attributes:
        remote: The peer's address as text, as far as it is known.
    """

    def __init__(self, inner: trio.abc.Stream, head: bytes, remote: str = "") -> None:
        self.remote = remote
        self._inner: Any = inner
        self._head = head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._head:
            data: bytes = await self._inner.receive_some(max_bytes)
            return data
        await trio.lowlevel.checkpoint()
        size = len(self._head) if max_bytes is None else max_bytes
        part, self._head = self._head[:size], self._head[size:]
        return part

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        if isinstance(self._inner, trio.abc.HalfCloseableStream):
            await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()
