"""What a measurement says, and what it says of itself."""

import json

import msgspec
import pytest

from rooms.bench.histogram import Histogram
from rooms.bench.messages import Arrivals, Result, Tally
from rooms.bench.plan import make_plan
from rooms.bench.report import Report, ServerUse, make_report, remarks, report_table, reports_json

USE = ServerUse(
    cpu_before=1.0,
    cpu_connected=1.5,
    cpu_start=2.0,
    cpu_stop=3.0,
    memory_before=10 * 1024 * 1024,
    memory_connected=20 * 1024 * 1024,
    memory_end=21 * 1024 * 1024,
)


def result(delivered: int = 50_000, latency_ms: int = 4) -> Result:
    """What one of two workers measured in two seconds."""
    latencies = Histogram()
    latencies.record(latency_ms * 1_000_000)
    return Result(
        ready=500,
        dead=0,
        set_up=Arrivals(100.0, 102.0, 500),
        delivered=delivered,
        published=50,
        seconds=2.0,
        cpu_seconds=1.0,
        out_of_order=0,
        latencies=latencies,
        errors={},
    )


@pytest.fixture
def report() -> Report:
    """A fan-out by two workers."""
    return make_report(make_plan("fan-out", workers=2), [result(), result(latency_ms=8)], USE)


def test_deliveries_are_counted_a_second_and_a_second_of_the_servers_cpu(report: Report) -> None:
    assert report.deliveries == 100_000
    assert report.deliveries_per_second == 50_000
    assert report.deliveries_per_cpu_second == 100_000
    assert report.cpu_microseconds_per_delivery == 10
    assert report.publications_per_second == 50
    assert report.server_busy == 0.5
    assert report.generator_busy == 0.5


def test_set_up_and_memory_are_counted_per_connection(report: Report) -> None:
    assert report.connections_per_second == 500
    assert report.cpu_microseconds_per_connection == 500
    assert report.kib_per_connection == pytest.approx(10.24)
    assert report.memory_growth_kib == 1024


def test_those_who_were_refused_are_no_divisor() -> None:
    refusing = result()
    refusing.set_up, refusing.dead = Arrivals(100.0, 102.0, 250), 250
    report = make_report(make_plan("storm", connections=500), [refusing], USE)
    assert report.connections_per_second == 125
    assert report.cpu_microseconds_per_connection == 2000
    assert report.kib_per_connection == pytest.approx(40.96)


def test_where_nobody_was_accepted_there_is_no_figure_per_connection() -> None:
    refusing = result()
    refusing.set_up = Arrivals(100.0, 102.0, 0)
    report = make_report(make_plan("storm", connections=500), [refusing], USE)
    assert report.connections_per_second == 0
    assert report.cpu_microseconds_per_connection is report.kib_per_connection is None


def test_latencies_of_all_workers_are_merged(report: Report) -> None:
    assert report.latency is not None
    assert report.latency.samples == 2
    assert report.latency.p50 == pytest.approx(4, rel=0.02)
    assert report.latency.max == 8


def test_without_the_servers_process_its_figures_are_missing() -> None:
    report = make_report(make_plan("fan-out"), [result()], None)
    assert report.deliveries_per_cpu_second is None
    assert report.kib_per_connection is None
    assert " - " in report_table([report])


def test_a_scenario_that_only_connects_has_no_deliveries() -> None:
    report = make_report(make_plan("storm"), [result()], USE)
    assert report.latency is None
    assert report.sound


def test_acknowledgements_are_counted_instead_of_deliveries() -> None:
    report = make_report(make_plan("publish", workers=2), [result(), result()], USE)
    assert report.acknowledgements is not None
    assert report.acknowledgements.count == 100_000
    assert report.acknowledgements.per_second == 50_000
    assert report.acknowledgements.per_cpu_second == 100_000
    assert report.acknowledgements.cpu_microseconds_each == 10
    assert report.deliveries == 0
    assert report.sound
    assert "acknowledgements" in report_table([report])


def test_recoveries_are_timed_from_the_first_connection_to_the_last_that_is_done() -> None:
    one, other = result(delivered=0), result(delivered=0)
    one.return_, other.return_ = Arrivals(200.0, 201.0, 600), Arrivals(200.5, 202.0, 400)
    report = make_report(make_plan("recover", workers=2), [one, other], USE)
    assert report.seconds == 2
    assert report.recoveries is not None
    assert report.recoveries.per_second == 500
    assert report.recoveries.cpu_microseconds_each == 1000
    assert report.latency is None
    assert report.sound


def test_what_comes_twice_to_those_who_came_back_is_not_sound() -> None:
    twice = result(delivered=1)
    twice.return_ = Arrivals(200.0, 201.0, 1000)
    assert not make_report(make_plan("recover"), [twice], USE).sound


def test_a_return_of_nobody_is_not_sound() -> None:
    nobody = result(delivered=0)
    nobody.return_ = Arrivals(200.0, 201.0, 0)
    assert not make_report(make_plan("recover"), [nobody], USE).sound


def test_a_measurement_that_lost_something_is_not_sound(report: Report) -> None:
    assert report.sound
    for change in ({"dead": 1}, {"lost": 1}, {"out_of_order": 1}, {"deliveries": 0}):
        assert not msgspec.structs.replace(report, **change).sound


def test_members_that_got_less_than_was_published_make_a_report_unsound() -> None:
    one, other = result(), result()
    one.tallies = [Tally(room=0, published=100, members={100: 497, 98: 2, 0: 1})]
    other.tallies = [Tally(room=0, published=0, members={100: 499, 90: 1})]
    report = make_report(make_plan("fan-out", workers=2), [one, other], USE)
    assert report.lost == 2 * 2 + 100 + 10
    assert not report.sound
    assert remarks(report) == ["fan-out: 114 deliveries never came"]


def test_what_came_too_often_makes_up_for_nothing() -> None:
    (lossy,) = found = [result()]
    lossy.tallies = [
        Tally(room=0, published=10, members={9: 1}),
        Tally(room=1, published=10, members={10: 1, 30: 1}),
    ]
    assert make_report(make_plan("rooms"), found, USE).lost == 1


def test_reasons_of_all_workers_are_counted_together() -> None:
    one, other = result(), result()
    one.errors, other.errors = {"reset": 1, "refused": 2}, {"reset": 3}
    report = make_report(make_plan("fan-out", workers=2), [one, other], USE)
    assert report.errors == {"reset": 4, "refused": 2}
    assert remarks(report) == ["fan-out: 4 x reset", "fan-out: 2 x refused"]


def test_remarks_say_what_makes_a_report_doubtful(report: Report) -> None:
    assert remarks(report) == []
    doubtful = msgspec.structs.replace(report, generator_busy=0.99, out_of_order=3, rate=100.0)
    text = "\n".join(remarks(doubtful))
    assert "3 deliveries came after a gap" in text
    assert "the load generator was the limit" in text
    assert "overloaded: 100,000 deliveries a second" in text


def test_the_table_has_a_line_for_each_report_under_its_heads(report: Report) -> None:
    head, first, second = report_table([report, report]).splitlines()
    assert head.split()[:2] == ["scenario", "clients"]
    assert first == second
    assert first.startswith("fan-out ")
    assert "100,000" in first


def test_json_holds_every_figure(report: Report) -> None:
    (read,) = json.loads(reports_json([report]))
    assert read["deliveries_per_cpu_second"] == 100_000
    assert read["latency"]["samples"] == 2
    assert read["connections"] == 1000
