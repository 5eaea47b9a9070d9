"""The servers that Rooms is measured beside."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from rooms.bench.report import Report
from rooms.protocol import dialects
from scripts.peers.catalogue import HERE, Peer, install, load_peers
from scripts.peers.compare import SCENARIOS, Results, main, table

CACHE = Path("cache")
PEERS = load_peers()
SHARING = load_peers("engine.toml")
DIALECTS = load_peers("dialects.toml")


def name_of(peer: Peer) -> str:
    """How a peer is called in the list of tests."""
    return peer.name


@pytest.mark.parametrize("peers", [PEERS, DIALECTS])
def test_every_peer_has_a_name_of_its_own(peers: list[Peer]) -> None:
    assert len({peer.name for peer in peers}) == len(peers)
    assert "rooms" in {peer.name for peer in peers}


def test_the_dialects_are_all_spoken_by_rooms() -> None:
    assert {peer.protocol for peer in DIALECTS} == {"native", "msgpack", *dialects.DIALECTS}
    assert not any(peer.command or peer.app for peer in DIALECTS)


@pytest.mark.parametrize("peer", PEERS, ids=name_of)
def test_every_peer_can_be_started_on_a_port(peer: Peer) -> None:
    command = peer.command_line(8123, CACHE)
    assert "8123" in command
    assert all(Path(part).is_file() for part in command if part.startswith(str(HERE)))


@pytest.mark.parametrize("peer", PEERS + SHARING, ids=name_of)
def test_what_a_peer_needs_is_pinned_and_in_an_environment_of_its_own(peer: Peer) -> None:
    needed = peer.pip + peer.npm
    assert bool(needed) == bool(peer.environment) == bool(peer.command)
    assert all("==" in package for package in peer.pip)
    assert all("@" in package for package in peer.npm)


@pytest.mark.parametrize("peer", SHARING, ids=name_of)
def test_peers_that_share_an_engine_are_told_where_it_is(peer: Peer) -> None:
    command = peer.command_line(8123, CACHE, "redis://engine")
    assert "8123" in command
    assert "redis://engine" in command
    assert all(Path(part).is_file() for part in command if part.startswith(str(HERE)))


def test_peers_that_share_an_environment_need_the_same() -> None:
    needed: dict[str, list[str]] = {}
    for peer in PEERS + SHARING:
        assert needed.setdefault(peer.environment, peer.pip + peer.npm) == peer.pip + peer.npm


def test_peers_name_only_scenarios_that_there_are() -> None:
    assert {name for peer in PEERS for name in peer.scenarios or []} <= SCENARIOS.keys()


def test_rooms_itself_needs_no_installation_and_runs_with_this_python() -> None:
    rooms = next(peer for peer in PEERS if peer.name == "rooms")
    assert install(rooms, CACHE) is None
    assert rooms.command_line(8123, CACHE)[0] == sys.executable


def test_what_is_installed_already_is_left_alone(tmp_path: Path) -> None:
    peer = Peer(name="x", protocol="plain", environment="x", pip=["nothing==1"])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".installed").write_text("nothing==1", encoding="utf-8")
    assert install(peer, tmp_path) is None


def report(deliveries: float, lost: int = 0, out_of_order: int = 0) -> Report:
    """What a round may have found."""
    return Report(
        scenario="fan-out",
        protocol="plain",
        counted="deliveries",
        connections=10,
        rooms=1,
        window=1,
        rate=0.0,
        size=128,
        keys=False,
        missed=0,
        workers=1,
        ready=10,
        dead=0,
        lost=lost,
        out_of_order=out_of_order,
        errors={},
        connections_per_second=100.0,
        deliveries_per_cpu_second=deliveries,
    )


def test_a_peer_that_lost_anything_in_any_round_is_marked() -> None:
    honest, lossy = (Peer(name=name, protocol="plain") for name in ("honest", "lossy"))
    results: Results = defaultdict(list)
    results["fan-out", "honest"] = [report(10.0)] * 3
    results["fan-out", "lossy"] = [report(20.0), report(20.0, lost=7), report(20.0, out_of_order=2)]
    head, first, second = table("fan-out", [honest, lossy], results).splitlines()
    assert head.split()[-3:] == ["dead", "lost", "gaps"]
    assert first.split()[0] == "honest"
    assert first.split()[-3:] == ["0", "0", "0"]
    assert second.startswith("lossy (UNSOUND: 2 of 3) ")
    assert second.split()[-3:] == ["0", "7", "2"]


def test_a_peer_is_told_how_much_more_rooms_does_with_the_same_cpu() -> None:
    peers = [Peer(name="rooms", protocol="native"), Peer(name="fdw", protocol="fdw")]
    results: Results = defaultdict(list)
    results["fan-out", "rooms"] = [report(50.0), report(20.0), report(30.0)]
    results["fan-out", "fdw"] = [report(30.0), report(10.0), report(25.0)]
    head, ours, theirs = table("fan-out", peers, results).splitlines()
    assert "Rooms to it" in head
    assert ours.split()[:5] == ["rooms", "30", "20", "50", "1.00"]
    assert theirs.split()[:5] == ["fdw", "25", "10", "30", "1.20"]


def test_dialects_are_measured_side_by_side(tmp_path: Path) -> None:
    quick = ["--rounds", "1", "--duration", "0.2", "--cache", str(tmp_path)]
    which = ["--from", "dialects.toml", "--peer", "rooms", "--peer", "zaptools"]
    said = CliRunner().invoke(main, [*which, *quick, "--scenario", "fan-out-small"])
    assert said.exit_code == 0
    scenario, _, ours, theirs, _ = said.stdout.splitlines()
    assert (scenario, ours.split()[0], theirs.split()[0]) == ("fan-out-small", "rooms", "zaptools")
    kept = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    reports = [json.loads(line)["report"] for line in kept]
    assert [report["protocol"] for report in reports] == ["native", "zaptools"]
    assert all(report["ready"] == 100 and report["deliveries"] > 0 for report in reports)


def test_an_unknown_peer_is_refused_with_the_names_that_there_are() -> None:
    said = CliRunner().invoke(main, ["--peer", "nobody"])
    assert said.exit_code == 2
    assert "'picows + uvloop'" in said.output
