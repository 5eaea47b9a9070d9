"""A server that random clients leave as it was; ``scripts/fuzz SECONDS server`` goes on longer."""

from __future__ import annotations

from tests.fuzz.whole_server import Nonsense, play_round


async def test_clients_that_talk_nonsense_leave_nothing_and_disturb_nobody() -> None:
    await play_round(seed=1)


def test_nonsense_is_the_same_every_time() -> None:
    one, other = Nonsense(7), Nonsense(7)
    assert [one.frame() for _ in range(50)] == [other.frame() for _ in range(50)]
