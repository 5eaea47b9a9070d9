"""`rooms.server.counters`: numbers for operators."""

from __future__ import annotations

import pytest

from rooms.server.counters import METRICS, Counters


def test_counts_add_up_by_their_labels() -> None:
    counters = Counters()
    counters.add("disconnects", "3008")
    counters.add("disconnects", "3008", amount=2)
    counters.add("disconnects", "1000")
    assert counters.get("disconnects", "3008") == 3
    assert counters.get("disconnects", "1001") == 0
    assert counters.total("disconnects") == 4
    assert set(counters) == {("disconnects", ("3008",), 3), ("disconnects", ("1000",), 1)}


@pytest.mark.parametrize(("name", "labels"), [("unheard_of", ()), ("disconnects", ())])
def test_only_what_is_in_the_table_can_be_counted(name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Counters().add(name, *labels)


def test_every_metric_says_what_it_counts() -> None:
    assert all(metric.help.endswith(".") for metric in METRICS.values())
