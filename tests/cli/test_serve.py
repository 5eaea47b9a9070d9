"""``rooms serve`` as a process: how it starts, complains and stops."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from rooms.cli.serve import _chat
from rooms.config import load
from rooms.core.history import Retention
from tests.cli.processes import (
    ROOT,
    START_SECONDS,
    connect,
    info_status,
    read_until,
    rooms,
    serving,
    without_settings,
)

STARTS_BADLY = """
from contextlib import asynccontextmanager
from rooms import App
from rooms.errors import ConfigError
@asynccontextmanager
async def vault(app):
    raise ConfigError("There is no key in the vault.")
    yield
app = App(lifespan=vault)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_says_goodbye_to_clients_and_exits_with_zero(number: int) -> None:
    async with serving() as (process, port, _):
        client = await connect(port)
        process.send_signal(number)
        with trio.fail_after(START_SECONDS):
            assert (await client.closing()).code == 3001
            await client.stream.aclose()
            assert await process.wait() == 0
            assert process.stderr is not None
            assert b"Traceback" not in await process.stderr.receive_some(65536)


async def test_a_token_is_made_and_printed_once_unless_one_is_given() -> None:
    async with serving() as (_, _port, printed):
        found = re.search(r"Admin API token, made for this run: (\S{32})\n", printed)
        assert found or await _more(_, r"Admin API token, made for this run: (\S{32})\n")
    async with serving(ROOMS_ADMIN_TOKEN="sesame") as (process, port, printed):
        assert await info_status(port, "sesame") == 200
        assert await info_status(port, "wrong") == 401
        process.terminate()
        assert process.stdout is not None
        with trio.fail_after(START_SECONDS):
            rest = await process.stdout.receive_some()
        assert "sesame" not in printed + rest.decode()


def test_a_variable_that_is_no_setting_is_told_in_a_line_of_the_log() -> None:
    result = rooms("serve", "nowhere:app", ROOMS_PROT="hush")
    [line] = [line for line in result.stderr.splitlines() if "ROOMS_" in line]
    assert "warning" in line
    assert "ROOMS_PROT is no setting, ROOMS_PORT is" in line
    assert "hush" not in result.stderr


def test_a_mistake_that_only_the_start_shows_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(STARTS_BADLY)
    result = rooms("serve", "hello:app", "--port", "0", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == "rooms: There is no key in the vault.\n"


async def _more(process: trio.Process, pattern: str) -> bool:
    assert process.stdout is not None
    with trio.fail_after(START_SECONDS):
        return re.search(pattern, (await process.stdout.receive_some()).decode()) is not None


async def test_a_module_of_ones_own_is_served_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(
        "from rooms import App\n"
        "app = App()\n"
        "@app.on('greet')\n"
        "def greet(ctx):\n"
        "    return 'hello'\n"
    )
    async with serving("hello:app", cwd=tmp_path) as (_, port, _printed):
        client = await connect(port)
        assert (await client.event("greet"))["payload"] == "hello"
        await client.close()


async def test_logs_are_json_if_asked_for_and_hold_no_payloads(tmp_path: Path) -> None:
    async with serving("--log-format", "json") as (process, port, _):
        client = await connect(port)
        await client.join("lobby")
        await client.event("say", "lobby", "a secret thing")
        await client.close()
        process.terminate()
        await process.wait()
        assert process.stderr is not None
        logged = (await process.stderr.receive_some(65536)).decode()
    assert '"event": "connected"' in logged
    assert '"code": 1000' in logged
    assert "secret" not in logged


def test_mistakes_are_one_line_and_exit_with_two(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "bad.pem").write_text("no certificate")
    (tmp_path / "token").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = {
            ("--port", port): f"Port {port} on 127.0.0.1 is taken",
            ("--port", "none"): "--port 'none' does not fit port",
            ("--port", "99999"): "--port '99999' does not fit port: Expected `int` <= 65535",
            ("--grace-seconds", "-1"): "--grace-seconds '-1' does not fit grace_seconds",
            ("nothing:app",): "There is no module 'nothing'",
            ("empty:app",): "There is no App called 'app' in 'empty': it has none.",
            ("--certfile", "bad.pem"): "The certificate in bad.pem cannot be used",
            ("--keyfile", "bad.pem"): "A keyfile needs a certfile",
            ("--broker", "other://"): "There is no broker 'other://': choose memory://, sqlite:",
            ("--broker", "sqlite:///gone/x.db"): f"there is no folder {tmp_path / 'gone'}",
            ("--admin-token-file", "token"): "The admin token file 'token' is empty",
            ("--admin-token-file", "gone"): "The admin token cannot be read from 'gone'",
        }
        for arguments, wanted in cases.items():
            done = rooms("serve", *arguments, cwd=tmp_path)
            assert done.returncode == 2, arguments
            assert wanted in done.stderr, arguments
            assert done.stderr.count("\n") == 1, done.stderr


def test_a_mistake_in_the_settings_file_or_the_environment_names_its_place(tmp_path: Path) -> None:
    assert "ROOMS_PORT 'x'" in rooms("serve", cwd=tmp_path, ROOMS_PORT="x").stderr
    (tmp_path / "rooms.toml").write_text("prot = 1\n")
    assert "rooms.toml sets 'prot', which is not a setting" in rooms("serve", cwd=tmp_path).stderr


def test_help_and_version_import_nothing_heavy() -> None:
    assert rooms("--version").stdout.startswith("rooms ")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rooms", "--help"],
        cwd=ROOT,
        env=without_settings({}),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=True,
    )
    assert "serve" in done.stdout
    for heavy in ("trio", "quart", "hypercorn", "msgspec", "structlog", "rooms.server"):
        assert not re.search(rf"\| +{heavy}\b", done.stderr), heavy


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ({}, Retention(1000, 86_400)),
        ({"history_messages": 7}, Retention(7, 86_400)),
        ({"history_seconds": 60}, Retention(1000, 60)),
    ],
)
def test_an_operator_says_how_much_the_chat_keeps(flags: dict[str, Any], kept: Retention) -> None:
    loaded = load(flags)
    assert _chat(loaded).options.retention("lobby", loaded.settings) == kept


async def test_a_server_can_speak_websocket_alone() -> None:
    async with serving("--no-http") as (_, port, printed):
        assert "Admin API" not in printed
        assert await info_status(port, "x") == 404
        await (await connect(port)).close()


async def test_the_second_address_is_told_too() -> None:
    async with serving("--no-http", "--ws-bind", "127.0.0.1:0") as (process, port, printed):
        assert process.stdout is not None
        if "also" not in printed:
            printed = await read_until(process.stdout, rb"also on .*\n")
        found = re.search(r"^WebSockets also on ws://127\.0\.0\.1:(\d+)$", printed, re.MULTILINE)
        assert found is not None
        assert int(found[1]) != port
        await (await connect(int(found[1]))).close()
