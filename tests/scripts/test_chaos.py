"""Three nodes whose processes, links and engine break: what members were told stays true."""

from __future__ import annotations

import pytest
import trio

from scripts.chaos_run.course import SHORT, run
from scripts.chaos_run.faults import OF_NODES, OF_THE_ENGINE
from tests.brokers.valkey import find_binary

SECONDS = 150
"""Far more than it takes."""


@pytest.mark.skipif(find_binary() is None, reason="there is no Valkey or Redis server")
async def test_each_fault_once_and_nobody_misses_anything_without_being_told() -> None:
    with trio.fail_after(SECONDS):
        outcome = await run(SHORT)
    assert outcome.troubles == []
    assert outcome.count("recoveries") > 5
    assert outcome.count("acknowledged") > 50
    assert outcome.count("epochs that a member saw") >= 2
    assert {outcome.count(name) for name in (*OF_NODES, *OF_THE_ENGINE)} == {1}
