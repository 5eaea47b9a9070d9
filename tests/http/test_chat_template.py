"""The page of the chat that `rooms new --template chat` makes, which publishes from a request."""

from __future__ import annotations

import runpy
from pathlib import Path

import httpx
import pytest
import trio

import rooms
from rooms import serve
from rooms.config import Settings
from rooms.testing import TestClient

TEMPLATE = Path(rooms.__file__).parent / "templates" / "chat"
SECONDS = 20


async def test_an_announcement_reaches_the_room_and_a_wrong_one_is_the_askers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(TEMPLATE)
    app = runpy.run_path("app.py")["app"]
    with trio.fail_after(SECONDS):
        async with serve(app, Settings(port=0)) as server, httpx.AsyncClient() as web:
            client = TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))
            await client.handshake()
            await client.request(type="auth", name="Ana", secret="the secret of Ana")
            await client.join("chat/lobby")
            where = f"{server.url}/announce/lobby"
            wrongs: tuple[object, ...] = ({}, [], 1)
            for wrong in wrongs:
                assert (await web.post(where, json=wrong)).status_code == 400
            form = await web.post(where, data={"text": "rain"})
            assert form.status_code == 400
            assert (await web.post(where, json={"text": "rain"})).json() == {"offset": 1}
            assert await client.receive_event("said") == {"who": "the server", "text": "rain"}
            await client.close()
