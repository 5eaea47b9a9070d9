"""The examples of docs/asgi.md, run as they are written, by Hypercorn's Trio worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio

from rooms import App
from rooms.testing import TestClient
from tests.server.hypercorn import hypercorn

PAGE = (Path(__file__).parent.parent / "docs" / "asgi.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("blocks", "served", "path"), [(1, "application", "/ws"), (2, "web", "/live/ws")]
)
async def test_fastapi_has_rooms_before_it_or_mounted(blocks: int, served: str, path: str) -> None:
    pytest.importorskip("fastapi")
    page: dict[str, Any] = {}
    exec("".join(BLOCKS[:blocks]), page)

    @page["web"].get("/tell")  # type: ignore[untyped-decorator]
    async def tell() -> int:
        rooms: App = page["rooms_app"]
        return (await rooms.room("news").publish("news", "rain")).offset

    async with hypercorn(page[served]) as port:
        client = TestClient(await trio.open_tcp_stream("127.0.0.1", port))
        await client.handshake(path)
        await client.join("news")
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /tell HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert b" 200 " in await stream.receive_some()
        assert await client.receive_event("news") == "rain"
        await client.close()
