"""``rooms bench`` as a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from rooms.bench import protocols as wire_protocols
from rooms.bench.local import free_port
from rooms.bench.plan import SCENARIOS, ProtocolName
from rooms.cli.bench import NAMES, PROTOCOLS

ROOT = Path(__file__).parents[2]
SECONDS = 40
SHORT = ("-c", "5", "--settle", "0.1", "--warmup", "0.1", "--duration", "0.2")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rooms", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_help_names_every_scenario() -> None:
    assert set(NAMES) == SCENARIOS.keys()
    said = bench("--help")
    assert said.returncode == 0
    assert all(f"  {name} " in said.stdout for name in NAMES)


def test_what_a_server_speaks_is_what_the_load_generator_speaks() -> None:
    assert PROTOCOLS == tuple(wire_protocols.PROTOCOLS) == get_args(ProtocolName)


def test_a_table_is_printed_and_progress_goes_to_standard_error() -> None:
    said = bench("echo", *SHORT)
    assert said.returncode == 0, said.stderr
    head, line = said.stdout.splitlines()
    assert head.startswith("scenario ")
    assert line.startswith("echo ")
    assert "measure" in said.stderr


def test_json_is_all_that_is_on_standard_output_when_asked_for() -> None:
    said = bench("storm", "publish", "--json", *SHORT)
    storm, publish = json.loads(said.stdout)
    assert (storm["scenario"], publish["scenario"]) == ("storm", "publish")
    assert publish["acknowledgements"]["count"] > 0


def test_what_a_server_without_history_cannot_tell_is_lost() -> None:
    said = bench("recover", "--history", "0", "--broker", "memory://", *SHORT)
    assert said.returncode == 1
    assert "recover: 4 x what was missed is lost: too_old" in said.stderr
    assert said.stdout.split()[-3:] == ["4", "0", "0"]


def test_without_a_name_only_what_the_protocol_can_do_is_measured() -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    said = bench("--protocol", "plain", "--url", url, *SHORT)
    assert said.returncode == 2
    assert "5 of 5 clients did not get in" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--url", "http://127.0.0.1/"), "is not a WebSocket URL"),
        (("--url", "ws://192.0.2.1/"), "another machine"),
        (("--url", "ws://127.0.0.1/", "--history", "0"), "a server that is started here"),
        (("--duration", "9999"), "duration must be between"),
        (("--app", "no_such_module"), "The server did not start"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    arguments: tuple[str, ...], reason: str
) -> None:
    said = bench("fan-out", *arguments)
    assert said.returncode == 2
    assert reason in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


def test_a_termination_ends_the_server_that_was_started() -> None:
    arguments = ("fan-out", "-c", "5", "--duration", "30", "--warmup", "0")
    with subprocess.Popen(
        [sys.executable, "-m", "rooms", "bench", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "measure" in line:
                break
        servers = servers_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert [pid for pid in servers if is_alive(pid)] == []


def servers_of(pid: int) -> list[int]:
    """The servers that a process has started, as far as this system tells."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(word) for word in children.read_text().split()] if children.exists() else []
    return [pid for pid in found if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    """Whether a process is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
