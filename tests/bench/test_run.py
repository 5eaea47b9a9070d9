"""Short measurements of a real server."""

from pathlib import Path

import pytest

from rooms.bench.coordinator import Status
from rooms.bench.errors import BenchError
from rooms.bench.local import free_port, local_server, rooms_command
from rooms.bench.plan import Plan, make_plan
from rooms.bench.run import default_workers, measure_local, measure_running

ROOT = Path(__file__).parents[2]
SHORT = {"connections": 20, "settle": 0.1, "warmup": 0.1, "duration": 0.3}


def short(scenario: str, **changes: object) -> Plan:
    """A plan that takes half a second."""
    return make_plan(scenario, **(SHORT | changes))


def test_twenty_clients_get_everything_from_a_server_of_their_own() -> None:
    seen: list[Status] = []
    (report,) = measure_local([short("fan-out", workers=2)], None, seen.append)
    assert report.sound
    assert (report.ready, report.dead) == (20, 0)
    assert report.deliveries >= 20
    assert report.latency is not None
    assert 0 < report.latency.p50 <= report.latency.p99 <= report.latency.max
    assert {status.phase for status in seen} >= {"settle", "warm up", "measure"}


def test_a_running_server_is_measured_with_all_scenarios() -> None:
    plans = [short(name) for name in ("rooms", "echo", "storm", "idle")]
    plans += [short("rate", rate=20.0), short("recover")]
    port = free_port()
    with local_server(rooms_command(port), port) as pid:
        url = f"ws://127.0.0.1:{port}/ws"
        found = list(measure_running(plans, url, remote=False, pid=pid, watch=lambda _: None))
    assert [report.scenario for report in found] == [plan.scenario for plan in plans]
    assert all(report.sound and report.ready == 20 for report in found)
    assert found[1].deliveries > 0
    assert found[3].deliveries == 0
    assert found[-1].recoveries is not None
    assert found[-1].recoveries.count == 19


@pytest.mark.parametrize("protocol", ["msgpack", "zaptools", "fdw", "tranzit"])
def test_clients_of_every_dialect_get_everything(protocol: str) -> None:
    plans = [short(name, protocol=protocol) for name in ("fan-out", "rooms", "storm")]
    fan_out, rooms, storm = measure_local(plans, None, lambda _: None)
    assert all(report.sound and report.ready == 20 for report in (fan_out, rooms, storm))
    assert (fan_out.protocol, storm.protocol) == (protocol, protocol)
    assert fan_out.deliveries >= 20
    assert rooms.deliveries >= 20


@pytest.mark.parametrize("protocol", ["native", "msgpack", "zaptools", "tranzit"])
def test_a_request_is_answered_in_its_dialect(protocol: str) -> None:
    (report,) = measure_local(
        [short("echo", protocol=protocol, request=True)], None, lambda _: None
    )
    assert report.sound
    assert report.deliveries >= 20


def test_a_server_that_forgets_one_of_twenty_is_not_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rooms.bench.coordinator.QUIET_SECONDS", 0.3)
    port = free_port()
    command = rooms_command(port, "tests.bench.lossy_app:app")
    with local_server(command, port, folder=ROOT) as pid:
        url, plan = f"ws://127.0.0.1:{port}", short("rate", rate=20.0)
        (report,) = measure_running([plan], url, remote=False, pid=pid, watch=lambda _: None)
    assert (report.ready, report.dead, report.out_of_order) == (20, 0, 0)
    assert report.lost >= 20.0 * plan.duration - 1
    assert not report.sound


def test_the_process_of_a_running_server_is_found() -> None:
    port = free_port()
    with local_server(rooms_command(port), port):
        url = f"ws://127.0.0.1:{port}"
        (report,) = measure_running(
            [short("fan-out")], url, remote=False, pid=None, watch=lambda _: None
        )
    assert report.deliveries_per_cpu_second is None or report.deliveries_per_cpu_second > 100


def test_when_nobody_gets_in_the_reason_is_told() -> None:
    url = f"ws://127.0.0.1:{free_port()}/ws"
    with pytest.raises(BenchError, match=r"20 of 20 clients did not get in, .*refused"):
        list(measure_running([short("fan-out")], url, remote=False, pid=None, watch=print))


def test_one_core_is_left_to_the_server() -> None:
    assert default_workers() >= 1
