"""`rooms.server.descriptors`: how many connections the system lets us have."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from rooms.server.descriptors import CONNECTIONS_MOST, connections_for, descriptors

SHOW = (
    "from rooms.server.descriptors import descriptors, raise_descriptors\n"
    "before = descriptors()\n"
    "raise_descriptors()\n"
    "print(before, descriptors())\n"
)


@pytest.mark.parametrize(
    ("available", "connections"),
    [(1, 1), (64, 32), (512, 256), (1024, 768), (20_000, 19_744), (10**6, CONNECTIONS_MOST)],
)
def test_some_descriptors_are_left_for_everything_else(available: int, connections: int) -> None:
    assert connections_for(available) == connections


def test_the_limit_is_the_one_of_the_process() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert descriptors() == soft


@pytest.mark.parametrize(("soft", "hard", "wanted"), [(100, 200, "100 200"), (200, 200, "200 200")])
def test_a_process_takes_what_it_may_have(soft: int, hard: int, wanted: str) -> None:
    shell = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.strip() == wanted
