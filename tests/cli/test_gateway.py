"""``rooms gateway``: every path is passed on."""

from __future__ import annotations

import pytest
import trio
from click.testing import CliRunner
from msgspec.structs import replace

from rooms import App, Settings, WebSocket, serve
from rooms.cli.gateway import gateway, gateway_app
from rooms.errors import ConfigError
from rooms.testing import TestClient, in_memory

QUICK = Settings(port=0, http=False, close_seconds=0.1)


@pytest.mark.parametrize(
    ("to", "asked", "got"),
    [
        ("", "/a/b%20c?x=1", "/a/b c x=1"),
        ("/", "/", "/ "),
        ("", "/ws", "/ws "),
        ("/fixed", "/a?x=1", "/fixed "),
        ("/under/{+path}", "/a", "/under/a "),
    ],
)
async def test_a_path_leads_to_the_same_one_or_where_the_url_says(
    to: str, asked: str, got: str
) -> None:
    app = App(dialects=[])

    @app.websocket("/{+all}")
    async def tell(ws: WebSocket) -> None:
        await ws.send(f"{ws.path} {ws.query}")

    app.websocket("/")(tell)
    async with serve(app, QUICK) as upstream:
        url = f"ws://127.0.0.1:{upstream.port}{to}"
        async with in_memory(gateway_app(url, ()), replace(QUICK, port=1)) as server:
            client = TestClient(server.open_stream())
            await client.handshake(asked)
            with trio.fail_after(5):
                assert (await client.message()).decode() == got


@pytest.mark.parametrize("url", ["http://x", "ws://{host}"])
def test_a_url_that_leads_nowhere_is_a_mistake(url: str) -> None:
    with pytest.raises(ConfigError, match="--to cannot be used"):
        gateway_app(url, ())


def test_the_command_says_what_is_missing() -> None:
    result = CliRunner().invoke(gateway, [])
    assert result.exit_code == 2
    assert "--to" in result.output
