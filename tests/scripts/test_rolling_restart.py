"""`scripts.rolling_restart`: servers that replace each other, and nobody misses anything."""

from __future__ import annotations

from pathlib import Path

import trio

from scripts.rolling_restart import Member, Plan, compare, run

SECONDS = 100


async def test_three_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(clients=40, interval=0.2, restarts=3, steady=0.3, drain=0.2)
    with trio.fail_after(SECONDS):
        outcome = await run(plan, tmp_path)
    assert outcome.troubles == []
    assert [member.goodbyes for member in outcome.members] == [3] * 40
    assert len(outcome.outages) == 120
    assert outcome.published >= 40 * 4
    assert outcome.delivered > outcome.published


def member(name: str, *heard: tuple[int, str, int], acknowledged: int = 0) -> Member:
    """Return one who was told this."""
    return Member(name, "room", 0, 1.0, heard=list(heard), acknowledged=acknowledged)


def test_what_somebody_missed_is_found() -> None:
    first, second = (1, "a", 1), (2, "a", 2)
    told = member("a", first, second, acknowledged=2)
    assert compare([told, member("b", first, second), member("late", second)]) == []
    assert compare([told, member("b", first)]) == ["b was told something else than others in room"]
    assert compare([member("a", first, acknowledged=2)]) == ["of a there is [1], not 1 to 2"]
    twice = member("a", first, (2, "a", 1), acknowledged=1)
    assert compare([twice]) == ["of a there is [1, 1], not 1 to 1"]
