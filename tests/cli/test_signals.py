"""`rooms.cli.signals` and `rooms.cli.reload`: a server that is told something by signals."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.cli import signals
from rooms.cli.signals import Signals
from rooms.serving import Server
from tests.cli.processes import (
    START_SECONDS,
    connect,
    info_status,
    read_until,
    serving,
    without_settings,
)


class FakeServer:
    """Remembers what it was told; its drain lasts until it is abandoned."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._abandoned = trio.Event()

    async def drain(self) -> None:
        self.told.append("drain")
        await self._abandoned.wait()

    def abandon(self) -> None:
        self.told.append("abandon")
        self._abandoned.set()


class Case:
    """A server that gets signals from a test."""

    def __init__(self, nursery: trio.Nursery, *, bound: bool = False) -> None:
        self.server = FakeServer()
        self.start = trio.CancelScope()
        self.stopped = False
        self._signals = Signals(lambda server: self.server.told.append("reload"), bound=bound)
        self._nursery = nursery
        self._send, receive = trio.open_memory_channel[int](10)
        nursery.start_soon(self._signals.obey, receive, self.start)

    def started(self) -> None:
        self._nursery.start_soon(self._watch)

    async def get(self, *numbers: int) -> None:
        """Let the server get signals and do what they ask for."""
        for number in numbers:
            await self._send.send(number)
            await wait_all_tasks_blocked()

    async def _watch(self) -> None:
        await self._signals.watch(cast(Server, self.server))
        self.stopped = True


async def test_the_first_signal_drains_or_stops(nursery: trio.Nursery) -> None:
    interrupted, terminated = Case(nursery), Case(nursery)
    for case in (interrupted, terminated):
        case.started()
    await interrupted.get(signal.SIGINT)
    assert (interrupted.server.told, interrupted.stopped) == ([], True)
    await terminated.get(signal.SIGTERM)
    assert (terminated.server.told, terminated.stopped) == (["drain"], False)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_stops_at_once(nursery: trio.Nursery, second: int) -> None:
    case = Case(nursery)
    case.started()
    await case.get(signal.SIGTERM, second)
    assert (case.server.told, case.stopped) == (["drain", "abandon"], True)


async def test_a_server_that_is_still_starting_is_not_started(nursery: trio.Nursery) -> None:
    case = Case(nursery)
    await case.get(signal.SIGHUP)
    assert not case.start.cancel_called
    await case.get(signal.SIGTERM)
    assert case.start.cancel_called
    assert case.server.told == []


async def test_a_hangup_reloads_while_the_server_is_there_to_stay(nursery: trio.Nursery) -> None:
    case = Case(nursery)
    case.started()
    await case.get(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    assert case.server.told == ["reload", "reload", "drain"]


@pytest.mark.parametrize(("open_still", "told"), [(True, ["reload"]), (False, [])])
async def test_a_hangup_of_its_terminal_stops_it(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, open_still: bool, told: list[str]
) -> None:
    monkeypatch.setattr(signals, "has_terminal", lambda: open_still)
    case = Case(nursery, bound=True)
    case.started()
    await case.get(signal.SIGHUP)
    assert (case.server.told, case.stopped) == (told, not open_still)


def test_by_nohup_it_outlives_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "has_terminal", lambda: True)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert signals.dies_with_terminal()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert not signals.dies_with_terminal()
    finally:
        signal.signal(signal.SIGHUP, before)


# As a process.


async def test_a_process_is_drained_and_a_second_signal_stops_it_at_once() -> None:
    async with serving("--close-seconds", "60", "--grace-seconds", "60") as (process, port, _):
        silent = await connect(port)
        process.send_signal(signal.SIGTERM)
        assert (await silent.frame()).payload[2:] == b"server restarts, retry after 1.01 s"
        process.send_signal(signal.SIGINT)
        with trio.fail_after(START_SECONDS):
            assert await process.wait() == 0
        await silent.stream.aclose()


async def test_a_process_loads_its_settings_again(tmp_path: Path) -> None:
    file = tmp_path / "rooms.toml"
    file.write_text('admin_token = "old"\nlog_level = "warning"\n')
    async with serving("--rooms-per-client", "7", cwd=tmp_path) as (process, port, _):
        assert process.stderr is not None
        file.write_text(
            'admin_token = "new"\nlog_level = "info"\nport = 1\ninbox_messages = 5\n'
            "rooms_per_client = 1\n"
        )
        process.send_signal(signal.SIGHUP)
        said = await read_until(process.stderr, rb"settings reloaded.*\n")
        assert "now=['admin_token', 'log_level']" in said
        assert "new_connections=['inbox_messages']" in said
        assert "needs_restart=[]" in said  # the port is the one of the command line
        assert [await info_status(port, "old"), await info_status(port, "new")] == [401, 200]

        file.write_text("admin_token = 5\n")
        process.send_signal(signal.SIGHUP)
        said = await read_until(process.stderr, rb"the old ones hold.*\n")
        assert "admin_token" in said
        client = await connect(port)
        await read_until(process.stderr, rb"connected .*\n")
        await client.close()
        assert await info_status(port, "new") == 200


async def test_a_process_takes_the_socket_that_it_is_handed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        waiting = socket.create_connection(listener.getsockname())
        waiting.send(b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\n\r\n")
        async with (
            trio.SocketStream(trio.socket.from_stdlib_socket(waiting)) as stream,
            serving(handed=listener) as (process, port, _),
        ):
            assert port == listener.getsockname()[1]
            with trio.fail_after(START_SECONDS):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
                process.terminate()
                assert await process.wait() == 0


def test_a_socket_that_is_none_is_told_in_a_line() -> None:
    handing = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null'
    done = subprocess.run(
        ["sh", "-c", handing, "sh", sys.executable, "-m", "rooms", "serve"],
        env=without_settings({}),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rooms: LISTEN_FDS: descriptor 3 is no socket")
