"""A server that is started for a measurement and ended after it."""

import socket
import sys
from pathlib import Path

import pytest

from rooms.bench.errors import BenchError
from rooms.bench.local import free_port, local_server, rooms_command

LISTENING = (
    "import os, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print(os.getcwd(), os.environ.get('COLOUR'), file=open(sys.argv[2], 'w'), flush=True)\n"
    "while True: s.accept()[0].close()"
)


def test_a_server_runs_while_the_block_does(tmp_path: Path) -> None:
    port, told = free_port(), tmp_path / "told"
    command = [sys.executable, "-c", LISTENING, str(port), str(told)]
    with local_server(command, port, folder=tmp_path, environment={"COLOUR": "red"}) as pid:
        assert pid > 0
        socket.create_connection(("127.0.0.1", port), 5).close()
    assert told.read_text(encoding="utf-8").split() == [str(tmp_path), "red"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_server_is_ended_when_the_block_fails() -> None:
    port = free_port()
    command = [sys.executable, "-c", LISTENING, str(port), "/dev/null"]
    with pytest.raises(KeyError), local_server(command, port):
        raise KeyError
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_server_that_does_not_start_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('the port is taken')"]
    with (
        pytest.raises(BenchError, match="did not start: the port is taken"),
        local_server(command, free_port()),
    ):
        pass


def test_rooms_is_served_by_this_python_with_the_app_that_is_named() -> None:
    command = rooms_command(8123, "chat:app", ["--ping-seconds", "5"])
    assert command[:4] == [sys.executable, "-m", "rooms", "serve"]
    assert command[4:7] == ["chat:app", "--port", "8123"]
    assert command[-2:] == ["--ping-seconds", "5"]
    assert "chat:app" not in rooms_command(8123)
