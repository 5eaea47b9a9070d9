"""Measures Rooms and its peers on one and two nodes that share a Valkey or Redis server."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from rooms.bench.coordinator import Status, measure
from rooms.bench.errors import BenchError
from rooms.bench.local import HOST, free_port, local_server
from rooms.bench.plan import Plan, make_plan
from rooms.bench.process import ProcessTree
from rooms.bench.progress import ProgressLine
from rooms.bench.report import Report, align
from rooms.bench.target import Target, resolve
from rooms.brokers.embedded import find_server
from scripts.peers.catalogue import Peer, install, load_peers

CLIENTS, ROOMS, WINDOW = 100, 10, 16
NODES = (1, 2)
IDLE_SECONDS = 5.0
HALF = 0.5

ALONE = "rooms, memory://"
"""Rooms without an engine: what latencies are compared with."""


class Row(Struct, frozen=True):
    """What was measured: who, on how many nodes, and how."""

    kind: str
    peer: str
    nodes: int


class Found(Struct, frozen=True):
    """One measurement, with what the engine used of the CPU beside the nodes; microseconds."""

    report: Report
    engine_each: float | None
    idle: float | None


Results = defaultdict[Row, list[Found]]


class Deployment:
    """Some nodes and their engine, as what they use of the machine.

    Whenever the nodes' CPU time is read, so is the engine's.
    """

    def __init__(self, nodes: Sequence[int], engine: int | None, target: Target) -> None:
        self.target = target
        self.readings: list[tuple[float, float]] = []
        self._nodes = [ProcessTree(pid) for pid in nodes]
        self._engine = ProcessTree(engine) if engine is not None else None

    def cpu_seconds(self) -> float:
        """Return the CPU time of all nodes."""
        nodes = sum(node.cpu_seconds() for node in self._nodes)
        self.readings.append((nodes, self._engine.cpu_seconds() if self._engine else 0.0))
        return nodes

    def resident_bytes(self) -> int:
        """Return the memory of all nodes."""
        return sum(node.resident_bytes() for node in self._nodes)


@contextmanager
def deployed(peer: Peer, nodes: int, cache: Path) -> Iterator[Deployment]:
    """Run an engine and some nodes of a peer while the block runs.

    Raises:
        BenchError: One of them did not start.
    """
    with ExitStack() as stack:
        engine, url = None, "memory://"
        if peer.name != ALONE:
            port = free_port()
            url = f"redis://{HOST}:{port}/0"
            engine = stack.enter_context(local_server(_engine_command(port), port))
        ports = [free_port() for _ in range(nodes)]
        pids = [
            stack.enter_context(local_server(peer.command_line(port, cache, url), port))
            for port in ports
        ]
        target = resolve(f"ws://{HOST}:{ports[0]}")
        more = msgspec.structs.replace(target, more_ports=tuple(ports[1:]))
        yield Deployment(pids, engine, more)


def _engine_command(port: int) -> list[str]:
    return [find_server(), "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]


@click.command()
@click.option("--peer", "names", multiple=True, help="Measure only this one; may be repeated.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@click.option("--duration", default=1.5, show_default=True, help="Seconds of each measurement.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".bench"),
    show_default=True,
    help="Where the peers are installed.",
)
def main(names: tuple[str, ...], rounds: int, duration: float, cache: Path) -> None:
    """Measure Rooms and its peers on nodes that share a Valkey or Redis server.

    10 rooms of 10 members, spread over the nodes; in each one member of the first node publishes.
    """
    known = load_peers("engine.toml")
    peers = list(_installed([peer for peer in known if not names or peer.name in names], cache))
    bench = Bench(cache, duration)
    for turn in range(rounds):
        for nodes in NODES:
            for peer in peers[:: -1 if turn % 2 else 1]:
                bench.throughput(peer, nodes)
    for peer in peers:
        bench.idle(peer)
    click.echo(f"throughput\n{throughput_table(bench.results, peers)}\n")
    if any(peer.name == "rooms" for peer in peers):
        rate = bench.half_load()
        for _ in range(rounds):
            bench.latencies(rate)
        click.echo(f"{rate * CLIENTS:,.0f} deliveries a second\n{latency_table(bench.results)}")


def _installed(peers: list[Peer], cache: Path) -> Iterator[Peer]:
    for peer in peers:
        failure = install(peer, cache)
        if failure is None:
            yield peer
        else:
            click.echo(f"{peer.name} is left out: {failure}", err=True)


class Bench:
    """Makes the measurements and keeps what came out."""

    def __init__(self, cache: Path, duration: float) -> None:
        self.results: Results = defaultdict(list)
        self._cache, self._duration = cache, duration

    def throughput(self, peer: Peer, nodes: int) -> None:
        """Measure as many publications as go through."""
        self._measure("throughput", peer, nodes, _plan(peer, self._duration, window=WINDOW))

    def idle(self, peer: Peer) -> None:
        """Measure what silent members cost."""
        self._measure("idle", peer, 1, _plan(peer, settle=IDLE_SECONDS, drive=False))

    def half_load(self) -> float:
        """Return half of what Rooms takes, in publications a second and room."""
        rows = [Row("throughput", "rooms", nodes) for nodes in NODES]
        least = min(median(self.results[row], per_second) or 0.0 for row in rows)
        return HALF * least / CLIENTS

    def latencies(self, rate: float) -> None:
        """Measure how late publications come, with and without an engine."""
        rooms = Peer("rooms", "native")
        for peer, nodes in ((Peer(ALONE, "native"), 1), (rooms, 1), (rooms, 2)):
            self._measure("latency", peer, nodes, _plan(peer, self._duration, rate=rate))

    def _measure(self, kind: str, peer: Peer, nodes: int, plan: Plan) -> None:
        """Measure fresh nodes; what fails is left out of this round."""
        progress = ProgressLine(sys.stderr)

        def watch(status: Status) -> None:
            progress(msgspec.structs.replace(status, scenario=f"{peer.name}, {nodes}: {kind}"))

        try:
            with deployed(peer, nodes, self._cache) as deployment:
                report = measure(plan, deployment.target, deployment, watch)
        except BenchError as error:
            click.echo(f"{peer.name}, {nodes}: {error}", err=True)
        else:
            one = found(report, deployment.readings, plan)
            self.results[Row(kind, peer.name, nodes)].append(one)
        finally:
            progress.close()


def _plan(
    peer: Peer,
    duration: float = 1.0,
    *,
    window: int = 1,
    rate: float = 0.0,
    settle: float = 0.5,
    drive: bool = True,
) -> Plan:
    return make_plan(
        "rooms",
        protocol=peer.protocol,
        connections=CLIENTS,
        rooms=ROOMS,
        duration=duration,
        window=window,
        rate=rate,
        settle=settle,
        drive=drive,
    )


def found(report: Report, readings: Sequence[tuple[float, float]], plan: Plan) -> Found:
    """Return a measurement with what the engine used.

    Args:
        report: What the clients saw.
        readings: CPU of the nodes and the engine: before, connected, at the start and the stop.
        plan: What was measured.
    """
    _, connected, start, stop = readings[:4]
    engine = (stop[1] - start[1]) * 1e6 / report.deliveries if report.deliveries else None
    idle = None if plan.drive else (start[0] - connected[0]) / plan.settle
    return Found(report, engine, idle)


# Tables.

Figure = Callable[[Found], float | None]


def per_second(one: Found) -> float | None:
    """Deliveries."""
    return one.report.deliveries_per_second or None


def each(one: Found) -> float | None:
    """What a delivery costs the nodes."""
    return one.report.cpu_microseconds_per_delivery


def median(rounds: Sequence[Found], figure: Figure) -> float | None:
    """Return the median of those that have a figure."""
    figures = [value for one in rounds if (value := figure(one)) is not None]
    return statistics.median(figures) if figures else None


COLUMNS: tuple[tuple[str, Figure, str], ...] = (
    ("deliveries/s", per_second, ",.0f"),
    ("node µs each", each, ".1f"),
    ("engine µs each", lambda one: one.engine_each, ".2f"),
    ("p50 ms", lambda one: one.report.latency.p50 if one.report.latency else None, ".1f"),
    ("p99 ms", lambda one: one.report.latency.p99 if one.report.latency else None, ".1f"),
)


def throughput_table(results: Results, peers: Sequence[Peer]) -> str:
    """Return the medians of each peer, with what Rooms has for each one of a peer's."""
    heads = ["", "nodes", *(head for head, _, _ in COLUMNS), "Rooms to it", "idle", "lost", "gaps"]
    rows = [heads]
    for nodes in NODES:
        ours = median(results[Row("throughput", "rooms", nodes)], each)
        for peer in peers:
            rounds = results[Row("throughput", peer.name, nodes)]
            theirs = median(rounds, each)
            ratio = theirs / ours if theirs and ours else None
            idle = median(results[Row("idle", peer.name, 1)], lambda one: one.idle)
            more = [_cell(ratio, ".1f"), _cell(idle, ".1%"), *_losses(rounds)]
            rows.append([peer.name, str(nodes), *_cells(rounds), *more])
    return align(rows)


def latency_table(results: Results) -> str:
    """Return the medians at a rate, with and without an engine."""
    rows = [["", "nodes", *(head for head, _, _ in COLUMNS), "lost", "gaps"]]
    for row, rounds in list(results.items()):
        if row.kind == "latency":
            rows.append([row.peer, str(row.nodes), *_cells(rounds), *_losses(rounds)])
    return align(rows)


def _losses(rounds: Sequence[Found]) -> list[str]:
    reports = [one.report for one in rounds]
    return [f"{sum(r.lost for r in reports):,}", f"{sum(r.out_of_order for r in reports):,}"]


def _cells(rounds: Sequence[Found]) -> list[str]:
    return [_cell(median(rounds, figure), form) for _, figure, form in COLUMNS]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    main()
