"""Measures Rooms and its peers in interleaved rounds, and prints them side by side."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from rooms.bench.coordinator import Status, Watch, measure
from rooms.bench.errors import BenchError
from rooms.bench.local import HOST, free_port, local_server
from rooms.bench.plan import Plan, make_plan
from rooms.bench.progress import ProgressLine
from rooms.bench.report import Report, align, remarks
from rooms.bench.run import default_workers
from rooms.bench.target import resolve
from scripts.peers.catalogue import Peer, install, load_peers

SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "fan-out": ("fan-out", {}),
    "fan-out-16": ("fan-out", {"window": 16}),
    "fan-out-small": ("fan-out", {"connections": 100}),
    "rooms": ("rooms", {}),
    "echo": ("echo", {}),
    "rate": ("rate", {}),
    "storm": ("storm", {}),
    "idle": ("idle", {}),
}
DEFAULT_SCENARIOS = ("fan-out", "fan-out-16", "rooms", "echo")

Results = defaultdict[tuple[str, str], list[Report]]
"""The reports of each scenario and peer."""

Figure = Callable[[Report], float | None]

COLUMNS: tuple[tuple[str, Figure, str], ...] = (
    ("deliveries/s", lambda report: report.deliveries_per_second or None, ",.0f"),
    ("server busy", lambda report: report.server_busy, ".0%"),
    ("load busy", lambda report: report.generator_busy or None, ".0%"),
    ("p50 ms", lambda report: report.latency.p50 if report.latency else None, ".2f"),
    ("p99 ms", lambda report: report.latency.p99 if report.latency else None, ".2f"),
    ("clients/s", lambda report: report.connections_per_second, ",.0f"),
    ("KiB/client", lambda report: report.kib_per_connection, ".1f"),
)

LOSSES: tuple[tuple[str, Callable[[Report], int]], ...] = (
    ("dead", lambda report: report.dead),
    ("lost", lambda report: report.lost),
    ("gaps", lambda report: report.out_of_order),
)
"""What there should be nothing of: counted over all rounds, where a median would hide it."""


@click.command()
@click.option(
    "--from",
    "file",
    type=click.Choice(("peers.toml", "dialects.toml")),
    default="peers.toml",
    show_default=True,
    help="Which there are to measure.",
)
@click.option("--peer", "names", multiple=True, help="Measure only this one; may be repeated.")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(tuple(SCENARIOS)),
    help=f"May be repeated [default: {', '.join(DEFAULT_SCENARIOS)}].",
)
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@click.option("--duration", default=2.0, show_default=True, help="Seconds of each measurement.")
@click.option("--workers", default=default_workers(), help="Processes that make the load.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".bench"),
    show_default=True,
    help="Where the peers are installed and the results kept.",
)
def main(
    file: str,
    names: tuple[str, ...],
    scenarios: tuple[str, ...],
    rounds: int,
    duration: float,
    workers: int,
    cache: Path,
) -> None:
    """Measure Rooms and its peers in interleaved rounds, and print them side by side.

    Each measurement has a server of its own, on the first core; the load is made on the others.
    Every second round goes through the peers backwards.
    """
    peers = list(_installed(_chosen(load_peers(file), names), cache))
    results: Results = defaultdict(list)
    progress = ProgressLine(sys.stderr)
    for turn in range(rounds):
        for scenario in scenarios or DEFAULT_SCENARIOS:
            for peer in peers[:: -1 if turn % 2 else 1]:
                if peer.takes_part(scenario):
                    plan = _plan(scenario, peer, duration, workers)
                    _measure(plan, scenario, peer, cache, progress, results)
    progress.close()
    for scenario in scenarios or DEFAULT_SCENARIOS:
        click.echo(f"{scenario}\n{table(scenario, peers, results)}\n")


def _chosen(peers: list[Peer], names: Sequence[str]) -> list[Peer]:
    unknown = sorted(set(names) - {peer.name for peer in peers})
    if unknown:
        known = ", ".join(repr(peer.name) for peer in peers)
        raise click.BadParameter(f"There is no peer {unknown[0]!r}; there are {known}.")
    return [peer for peer in peers if not names or peer.name in names]


def _installed(peers: list[Peer], cache: Path) -> Iterator[Peer]:
    for peer in peers:
        failure = install(peer, cache)
        if failure is None:
            yield peer
        else:
            click.echo(f"{peer.name} is left out: {failure}", err=True)


def _plan(scenario: str, peer: Peer, duration: float, workers: int) -> Plan:
    name, changes = SCENARIOS[scenario]
    return make_plan(
        name,
        **changes,
        protocol=peer.protocol,
        request=name == "echo" and peer.echoes_on_request(),
        duration=duration,
        workers=workers,
        pin=True,
    )


def _measure(
    plan: Plan, scenario: str, peer: Peer, cache: Path, progress: ProgressLine, results: Results
) -> None:
    """Measure a fresh server; one that fails is left out of this round."""
    port = free_port()
    try:
        with local_server(peer.command_line(port, cache), port, pin=True) as pid:
            watch = _named(peer.name, progress)
            report = measure(plan, resolve(f"ws://{HOST}:{port}"), pid, watch)
    except BenchError as error:
        progress.close()
        click.echo(f"{peer.name}, {scenario}: {error}", err=True)
        return
    _warn(peer, report, progress)
    results[scenario, peer.name].append(report)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "results.jsonl").open("ab") as file:
        file.write(msgspec.json.encode({"peer": peer.name, "report": report}) + b"\n")


def _warn(peer: Peer, report: Report, progress: ProgressLine) -> None:
    """Say at once why a report is not sound."""
    if not report.sound:
        progress.close()
        for remark in remarks(report):
            click.echo(f"{peer.name}, {remark}", err=True)


def _named(peer: str, progress: ProgressLine) -> Watch:
    """Have progress shown with the peer's name."""

    def watch(status: Status) -> None:
        progress(msgspec.structs.replace(status, scenario=f"{peer}: {status.scenario}"))

    return watch


def table(scenario: str, peers: list[Peer], results: Results) -> str:
    """Return the medians of a scenario, with what Rooms has for each one of a peer's.

    A peer that lost anything in any round is marked.
    """
    heads = ["", "per CPU s", "least", "most", "Rooms to it", *(head for head, _, _ in COLUMNS)]
    rows = [[*heads, *(head for head, _ in LOSSES)]]
    ours = _median(results[scenario, "rooms"], _per_cpu_second)
    for peer in peers:
        reports = results[scenario, peer.name]
        if reports:
            figures = [*_efficiency(reports, ours), *_others(reports), *_losses(reports)]
            rows.append([_label(peer, reports), *figures])
    return align(rows)


def _label(peer: Peer, reports: list[Report]) -> str:
    """Return the peer's name, and a mark if it did not do all that was asked."""
    unsound = sum(not report.sound for report in reports)
    return f"{peer.name} (UNSOUND: {unsound} of {len(reports)})" if unsound else peer.name


def _losses(reports: list[Report]) -> list[str]:
    return [f"{sum(loss(report) for report in reports):,}" for _, loss in LOSSES]


def _efficiency(reports: list[Report], ours: float | None) -> list[str]:
    figures = [figure for report in reports if (figure := _per_cpu_second(report))]
    if not figures:
        return ["-"] * 4
    median = statistics.median(figures)
    ratio = f"{ours / median:.2f}" if ours else "-"
    return [f"{median:,.0f}", f"{min(figures):,.0f}", f"{max(figures):,.0f}", ratio]


def _others(reports: list[Report]) -> list[str]:
    medians = ((_median(reports, figure), form) for _, figure, form in COLUMNS)
    return ["-" if value is None else format(value, form) for value, form in medians]


def _median(reports: list[Report], figure: Figure) -> float | None:
    figures = [value for report in reports if (value := figure(report)) is not None]
    return statistics.median(figures) if figures else None


def _per_cpu_second(report: Report) -> float | None:
    return report.deliveries_per_cpu_second


if __name__ == "__main__":
    main()
