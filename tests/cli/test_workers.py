"""``rooms serve`` as a supervisor of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import trio

from rooms.testing import Closed, Refused, TestClient
from tests.cli.processes import START_SECONDS, read_until, rooms, serving

APP = """
from rooms import App
app = App()
@app.on("version")
def version(ctx):
    return {version}
@app.on("pid")
def pid(ctx):
    import os
    return os.getpid()
"""


async def ask(port: int, event: str) -> object:
    """Ask whatever server answers now; one that is ending may say goodbye instead."""
    with trio.fail_after(START_SECONDS):
        while True:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                client = TestClient(stream)
                try:
                    await client.handshake()
                    await client.welcome()
                    return (await client.event(event))["payload"]
                except (Closed, Refused, trio.BrokenResourceError):
                    await trio.lowlevel.checkpoint()


async def until_gone(pid: int) -> None:
    """Wait until there is no process of that id."""
    with trio.fail_after(START_SECONDS):
        while not _is_gone(pid):
            await trio.lowlevel.checkpoint()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_changed_file_starts_the_server_again_on_the_same_port(tmp_path: Path) -> None:
    app = tmp_path / "hello.py"
    app.write_text(APP.format(version=1))
    async with serving("hello:app", "--reload", cwd=tmp_path) as (process, port, _):
        assert await ask(port, "version") == 1
        app.write_text(APP.format(version=22))
        assert process.stderr is not None
        await read_until(process.stderr, rb"hello.py has changed: starting again")
        with trio.fail_after(START_SECONDS):
            while await ask(port, "version") != 22:
                await trio.lowlevel.checkpoint()
        process.terminate()
        with trio.fail_after(START_SECONDS):
            assert await process.wait() == 0


async def test_a_worker_that_is_killed_is_replaced_and_none_outlives_its_supervisor(
    tmp_path: Path,
) -> None:
    (tmp_path / "hello.py").write_text(APP.format(version=1))
    async with serving("hello:app", "--reload", cwd=tmp_path) as (process, port, _):
        pid = await ask(port, "pid")
        assert isinstance(pid, int)
        assert pid != process.pid
        process.kill()
        await process.wait()
        await until_gone(pid)


def test_workers_without_a_broker_say_which_they_could_have() -> None:
    result = rooms("serve", "--workers", "2")
    assert result.returncode == 2
    assert result.stderr.startswith("rooms: 2 workers need a broker that connects them")
    assert result.stderr.count("\n") == 1


def test_no_file_that_is_here_is_taken_for_ours_by_workers(tmp_path: Path) -> None:
    (tmp_path / "rooms.py").write_text("raise SystemExit('that was me')")
    serve = ["serve", "--workers", "2", "--port", "0", "--broker", "redis://127.0.0.1:1"]
    result = subprocess.run(
        [sys.executable, "-P", "-m", "rooms", *serve, "--broker-seconds", "0"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=START_SECONDS,
    )
    assert "that was me" not in result.stderr
    assert "The broker redis://127.0.0.1:1 cannot be used" in result.stderr


def test_workers_of_an_application_that_cannot_be_imported_end_with_its_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "hello.py").write_text("import there_is_no_such_module")
    several = ("--workers", "2", "--port", "0", "--broker", "redis://127.0.0.1:1")
    result = rooms("serve", "hello:app", *several, cwd=tmp_path)
    assert result.returncode == 1
    assert "No module named 'there_is_no_such_module'" in result.stderr
    assert "no worker could start; the server ends" in result.stdout + result.stderr
    result = rooms("serve", "missing:app", *several, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[0].startswith("rooms: There is no module 'missing' here")
