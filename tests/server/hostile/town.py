"""A server on a real port, and what knocks at its door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from rooms import App, Settings, serve
from rooms.serving import Server
from rooms.testing import Refused, TestClient
from tests.server.signing import error_in

SECONDS = 10
QUICK: dict[str, Any] = {"port": 0, "close_seconds": 1, "grace_seconds": 1, "admin_token": "open"}


class Town:
    """A server and what knocks at its door."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._opened: list[trio.abc.Stream] = []

    async def knock(self, headers: str = "", path: str = "/ws") -> TestClient:
        """Return a client whose handshake is done; nothing it was told has been read."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        self._opened.append(stream)
        client = TestClient(stream)
        await client.handshake(path, headers)
        return client

    async def enter(self, headers: str = "") -> TestClient:
        """Return a client that has been greeted."""
        client = await self.knock(headers)
        await client.welcome()
        return client

    async def status(self, headers: str = "", path: str = "/ws") -> int:
        """Return what a handshake is answered."""
        try:
            await self.knock(headers, path)
        except Refused as refused:
            error_in(refused.answer)  # in JSON
            return refused.status
        return 101

    async def ticket(self, token: str) -> str:
        """Return a ticket for whom a token names."""
        async with httpx.AsyncClient(base_url=self.server.url, verify=False) as client:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post("/api/tickets", json={}, headers=headers)
            return str(answer.json()["ticket"])

    async def leave(self) -> None:
        """Close every connection from the clients' side."""
        for stream in self._opened:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def town(app: App, **settings: Any) -> AsyncIterator[Town]:
    """Serve ``app`` while the block runs, which must not take long."""
    with trio.fail_after(SECONDS):
        async with serve(app, Settings(**(QUICK | settings))) as server:
            place = Town(server)
            try:
                yield place
            finally:
                await place.leave()
