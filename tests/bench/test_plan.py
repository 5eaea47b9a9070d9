"""Scenarios, their defaults, and the limits of every run."""

import pytest

from rooms.bench.errors import BenchError
from rooms.bench.plan import MAX_CONNECTIONS, SCENARIOS, make_plan


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_within_the_limits(name: str) -> None:
    assert make_plan(name) == SCENARIOS[name]


def test_a_change_that_is_none_changes_nothing() -> None:
    assert make_plan("echo", window=None, rate=None) == SCENARIOS["echo"]


def test_an_unknown_scenario_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(BenchError, match="'fanout'; there are fan-out, rooms"):
        make_plan("fanout")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connections", 0),
        ("connections", MAX_CONNECTIONS + 1),
        ("window", 0),
        ("size", 10),
        ("duration", 1e9),
        ("rate", -1),
        ("workers", 0),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(BenchError, match=f"{name} must be between"):
        make_plan("fan-out", **{name: value})


def test_the_phases_together_are_limited_too() -> None:
    with pytest.raises(BenchError, match="together"):
        make_plan("fan-out", settle=200.0, duration=200.0)


def test_there_are_no_more_rooms_than_connections() -> None:
    with pytest.raises(BenchError, match="rooms must be between 1 and 10"):
        make_plan("rooms", connections=10, rooms=11)


def test_connections_that_would_fill_no_room_are_left_out() -> None:
    assert make_plan("rooms", connections=100, rooms=33).connections == 99


def test_with_other_connections_rooms_keep_their_size() -> None:
    assert make_plan("rooms", connections=50).rooms == 5
    assert make_plan("echo", connections=7).rooms == 7
    assert make_plan("rooms", connections=3).rooms == 1
    assert make_plan("fan-out", connections=5000).rooms == 1


def test_every_client_of_publish_publishes() -> None:
    plan = make_plan("publish", rooms=20)
    assert (plan.publishers, plan.members, plan.counted) == (200, 10, "acknowledgements")
    assert make_plan("fan-out").publishers == 1
    assert make_plan("recover").counted == "recoveries"


def test_somebody_must_be_left_to_recover() -> None:
    with pytest.raises(BenchError, match="one that is cut"):
        make_plan("recover", connections=1)


@pytest.mark.parametrize("change", [{"protocol": "plain"}, {"request": True}])
@pytest.mark.parametrize("name", ["publish", "recover"])
def test_what_takes_replies_takes_the_native_protocol(name: str, change: dict[str, object]) -> None:
    with pytest.raises(BenchError, match=f"{name} needs the native protocol"):
        make_plan(name, **change)


def test_requests_take_a_protocol_that_answers_them() -> None:
    assert make_plan("echo", protocol="tranzit", request=True).request
    with pytest.raises(BenchError, match="fdw has no answers"):
        make_plan("echo", protocol="fdw", request=True)


def test_no_worker_is_without_a_connection() -> None:
    assert make_plan("fan-out", connections=2, workers=8).workers == 2
