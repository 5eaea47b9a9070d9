"""The server for tests never outlives them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers.valkey import SECONDS, find_binary

ROOT = Path(__file__).parents[2]
PROGRAM = """
from tests.brokers.valkey import Valkey
with Valkey() as server:
    print(server.pid, flush=True)
    input()
"""


@pytest.mark.skipif(find_binary() is None, reason="no Valkey")
def test_it_ends_with_the_tests_even_if_they_are_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        watched = os.pidfd_open(server)
        try:
            tests.send_signal(signal.SIGKILL)
            looks = (select.select([watched], [], [], 0.1)[0] for _ in range(SECONDS * 10))
            assert any(looks), Path(f"/proc/{server}/status").read_text()
        finally:
            os.close(watched)
