"""``rooms gateway``: every path is passed on."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("arguments", [[], ["--to", ""], ["--to", "ws://x", "--to-file", "-"]])
def test_the_command_says_what_is_missing_or_too_much(arguments: list[str]) -> None:
    result = CliRunner().invoke(gateway, arguments, input="ws://x")
    assert result.exit_code == 2
    assert "--to URL, or --to-file FILE" in result.output


def test_a_url_with_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "upstream"
    file.write_text("http://backend.test/live?token=t0p-secret\n")
    result = CliRunner().invoke(gateway, ["--to-file", str(file)])
    assert result.exit_code == 2
    assert "'http://backend.test/live?…'" in result.output
    assert "t0p-secret" not in result.output


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b" \n", "--to-file is empty"), (b"\xff", "--to-file is no text")],
)
def test_a_file_that_holds_no_url_is_a_mistake(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    file = tmp_path / "upstream"
    file.write_bytes(content)
    for path, said in ((file, complaint), (tmp_path / "none", "No such file")):
        result = CliRunner().invoke(gateway, ["--to-file", str(path)])
        assert (result.exit_code, said in result.output) == (2, True)
