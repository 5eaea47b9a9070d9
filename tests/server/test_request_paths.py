"""Paths that nothing can be called by, wherever a path may hold a name."""

from __future__ import annotations

import pytest

from rooms import App, WebSocket
from rooms.protocol.dialects import DIALECTS
from rooms.testing import Refused, TestClient, in_memory

WRONG = ("%ff", "%C0%AF", "%ed%a0%80", "a%E2%28%A1")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "path", ["/ws/", "/zaptools/", "/fdw/", "/tranzit/", "/echo/", "/all/a/", "/nothing/", "/"]
)
async def test_a_path_that_is_no_utf_8_is_refused_with_a_reason(path: str, wrong: str) -> None:
    app = App(dialects=list(DIALECTS))

    async def never(ws: WebSocket) -> None:
        raise AssertionError

    for pattern in ("/echo/{name}", "/all/{+name}"):
        app.websocket(pattern)(never)
    async with in_memory(app) as server:
        with pytest.raises(Refused) as caught:
            await TestClient(server.open_stream()).handshake(path + wrong)
    assert caught.value.status == 400
    body = caught.value.answer.partition(b"\r\n\r\n")[2]
    assert body == b'{"error":{"code":"bad_request","message":"The path is not UTF-8."}}\n'
