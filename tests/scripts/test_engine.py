"""What is measured of nodes that share an engine."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import msgspec

from rooms.bench.plan import make_plan
from rooms.bench.report import Report
from rooms.bench.target import resolve
from scripts.peers.catalogue import Peer
from scripts.peers.engine import Deployment, Found, Results, Row, deployed, found, throughput_table
from tests.scripts.test_peers import report

ROOMS, OTHER = Peer("rooms", "native"), Peer("other", "plain")


def costing(microseconds: float, **losses: int) -> Found:
    """What a round may have found."""
    each = {"cpu_microseconds_per_delivery": microseconds, "deliveries": 1000}
    return Found(msgspec.structs.replace(report(1.0, **losses), **each), 2.5, None)


def test_what_a_delivery_costs_is_compared_with_the_same_number_of_nodes() -> None:
    results: Results = defaultdict(list)
    results[Row("throughput", "rooms", 1)] = [costing(10.0), costing(30.0), costing(11.0)]
    results[Row("throughput", "other", 1)] = [costing(44.0, lost=7)]
    results[Row("throughput", "rooms", 2)] = [costing(20.0)]
    results[Row("throughput", "other", 2)] = [costing(44.0, out_of_order=2)]
    results[Row("idle", "other", 1)] = [Found(report(1.0), None, 0.5)]
    lines = throughput_table(results, [ROOMS, OTHER]).splitlines()
    assert [line.split()[-4:] for line in lines[1:]] == [
        ["1.0", "-", "0", "0"],
        ["4.0", "50.0%", "7", "0"],
        ["1.0", "-", "0", "0"],
        ["2.2", "50.0%", "0", "2"],
    ]


def test_the_use_of_the_engine_is_that_of_the_time_that_was_measured() -> None:
    readings = [(0.0, 0.0), (1.0, 0.5), (1.5, 1.0), (4.0, 3.0)]
    measured: Report = msgspec.structs.replace(report(1.0), deliveries=1_000_000)
    assert found(measured, readings, make_plan("rooms")).engine_each == 2.0
    silent = found(report(1.0), readings, make_plan("rooms", drive=False, settle=5.0))
    assert (silent.engine_each, silent.idle) == (None, 0.1)


def test_the_nodes_are_added_up_and_the_engine_is_not_among_them() -> None:
    here = os.getpid()
    deployment = Deployment([here, here], here, resolve("ws://127.0.0.1:1/"))
    total = deployment.cpu_seconds()
    (nodes, engine), *others = deployment.readings
    assert not others
    assert nodes == total
    assert 0 < engine < total
    assert deployment.resident_bytes() > 0


def test_two_nodes_run_on_an_engine_of_their_own_and_end_with_it() -> None:
    with deployed(ROOMS, 2, Path("cache")) as deployment:
        assert {deployment.target.port_of(turn) for turn in range(9)} == {
            deployment.target.port,
            *deployment.target.more_ports,
        }
        assert len(deployment.target.more_ports) == 1
        assert deployment.cpu_seconds() > 0
    assert deployment.cpu_seconds() == 0
