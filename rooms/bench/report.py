"""What a measurement found, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from rooms.bench.histogram import Histogram
from rooms.bench.messages import Arrivals, Result, Tally
from rooms.bench.plan import Plan


class ServerUse(Struct, frozen=True):
    """What the server had used when; seconds of CPU and bytes of memory."""

    cpu_before: float
    cpu_connected: float
    cpu_start: float
    cpu_stop: float
    memory_before: int
    memory_connected: int
    memory_end: int


class Latency(Struct, frozen=True):
    """How long after it was due a delivery, or the reply to a publication, came; milliseconds."""

    samples: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Rate(Struct, frozen=True):
    """How many, how fast, and what each cost the server."""

    count: int
    per_second: float
    per_cpu_second: float | None
    cpu_microseconds_each: float | None


class Report(Struct, frozen=True, kw_only=True):
    """One measurement.  What needs the server's process id is None without it.

    Attributes:
        counted: What there is a figure for: deliveries, acknowledgements or recoveries.
        missed: How many publications each client that came back was told.
        seconds: How long it was measured, or how long it took until all had come back.
        acknowledgements: Replies to publications.
        recoveries: Clients that came back and were told just what they had missed.
        server_busy: The share of one core that the server used; above 1 with several processes.
        generator_busy: The same of the busiest worker; near 1 the generator was the limit.
        lost: Deliveries that never came to members that stayed.
        out_of_order: Deliveries that did not follow the one before; inside one read only those
            of a sample of the clients are looked at.
    """

    scenario: str
    protocol: str
    counted: str
    connections: int
    rooms: int
    window: int
    rate: float
    size: int
    keys: bool
    missed: int
    workers: int
    ready: int
    dead: int
    out_of_order: int
    errors: dict[str, int]
    connections_per_second: float
    lost: int = 0
    cpu_microseconds_per_connection: float | None = None
    kib_per_connection: float | None = None
    seconds: float = 0.0
    deliveries: int = 0
    deliveries_per_second: float = 0.0
    publications_per_second: float = 0.0
    deliveries_per_cpu_second: float | None = None
    cpu_microseconds_per_delivery: float | None = None
    acknowledgements: Rate | None = None
    recoveries: Rate | None = None
    server_busy: float | None = None
    generator_busy: float = 0.0
    memory_growth_kib: float | None = None
    latency: Latency | None = None

    @property
    def figure(self) -> Rate:
        """The figure of what was counted."""
        return (
            self.acknowledgements
            or self.recoveries
            or Rate(
                self.deliveries,
                self.deliveries_per_second,
                self.deliveries_per_cpu_second,
                self.cpu_microseconds_per_delivery,
            )
        )

    @property
    def sound(self) -> bool:
        """Whether every client got in, stayed, and lost nothing."""
        driven_in_vain = self.seconds > 0 and self.figure.count == 0
        return not (self.dead or self.lost or self.out_of_order or driven_in_vain)


def make_report(plan: Plan, results: Sequence[Result], use: ServerUse | None) -> Report:
    """Put together what the workers and the server's process tell."""
    accepted = sum(result.set_up.count for result in results)
    report = Report(
        scenario=plan.scenario,
        protocol=plan.protocol,
        counted=plan.counted,
        connections=plan.connections,
        rooms=plan.rooms,
        window=plan.window,
        rate=plan.rate,
        size=plan.size,
        keys=plan.keys,
        missed=plan.missed,
        workers=plan.workers,
        ready=sum(result.ready for result in results),
        dead=sum(result.dead for result in results),
        out_of_order=sum(result.out_of_order for result in results),
        errors=_all_errors(results),
        connections_per_second=_ratio(accepted, _span([r.set_up for r in results])) or 0.0,
    )
    if use is not None:
        report = _with_set_up(report, accepted, use)
    if plan.missed:
        return _with_recoveries(report, results, use)
    return _with_load(report, results, use) if plan.drive else report


def _all_errors(results: Sequence[Result]) -> dict[str, int]:
    errors: Counter[str] = Counter()
    for result in results:
        errors.update(result.errors)
    return dict(errors)


def _span(arrivals: Sequence[Arrivals]) -> float:
    """Return the seconds from the first connection that was begun until the last was settled."""
    return max(each.completed for each in arrivals) - min(each.begun for each in arrivals)


def _with_set_up(report: Report, accepted: int, use: ServerUse) -> Report:
    cpu, memory = use.cpu_connected - use.cpu_before, use.memory_connected - use.memory_before
    return msgspec.structs.replace(
        report,
        cpu_microseconds_per_connection=cpu / accepted * 1e6 if accepted else None,
        kib_per_connection=memory / accepted / 1024 if accepted else None,
        memory_growth_kib=(use.memory_end - use.memory_connected) / 1024,
    )


def _with_load(report: Report, results: Sequence[Result], use: ServerUse | None) -> Report:
    seconds = max(result.seconds for result in results)
    rate = _rate(sum(result.delivered for result in results), seconds, use)
    report = msgspec.structs.replace(
        _with_time(report, seconds, results, use),
        lost=_lost([tally for result in results for tally in result.tallies]),
        publications_per_second=sum(result.published for result in results) / seconds,
        latency=_latency(results),
    )
    if report.counted == "acknowledgements":
        return msgspec.structs.replace(report, acknowledgements=rate)
    return msgspec.structs.replace(
        report,
        deliveries=rate.count,
        deliveries_per_second=rate.per_second,
        deliveries_per_cpu_second=rate.per_cpu_second,
        cpu_microseconds_per_delivery=rate.cpu_microseconds_each,
    )


def _lost(tallies: Sequence[Tally]) -> int:
    """Return how many deliveries are missing; those too many came out of order."""
    published: Counter[int] = Counter()
    for tally in tallies:
        published[tally.room] += tally.published
    return sum(
        max(published[tally.room] - delivered, 0) * members
        for tally in tallies
        for delivered, members in tally.members.items()
    )


def _with_recoveries(report: Report, results: Sequence[Result], use: ServerUse | None) -> Report:
    seconds = _span([result.return_ for result in results])
    rate = _rate(sum(result.return_.count for result in results), seconds, use)
    live = sum(result.delivered for result in results)  # nobody published: it came twice
    return msgspec.structs.replace(
        _with_time(report, seconds, results, use),
        recoveries=rate,
        out_of_order=report.out_of_order + live,
    )


def _with_time(
    report: Report, seconds: float, results: Sequence[Result], use: ServerUse | None
) -> Report:
    """Say how long it was measured, and how busy everybody was."""
    return msgspec.structs.replace(
        report,
        seconds=seconds,
        server_busy=_cpu(use) / seconds if use is not None else None,
        generator_busy=max(result.cpu_seconds / result.seconds for result in results),
    )


def _rate(count: int, seconds: float, use: ServerUse | None) -> Rate:
    cpu = _cpu(use)
    return Rate(count, count / seconds, _ratio(count, cpu), _ratio(cpu * 1e6, count))


def _cpu(use: ServerUse | None) -> float:
    return use.cpu_stop - use.cpu_start if use is not None else 0.0


def _latency(results: Sequence[Result]) -> Latency:
    merged = Histogram()
    for result in results:
        merged.merge(result.latencies)
    p50, p90, p99, p999 = (merged.percentile(percent) / 1e6 for percent in (50, 90, 99, 99.9))
    return Latency(merged.total, p50, p90, p99, p999, merged.highest / 1e6)


def _ratio(value: float, by: float) -> float | None:
    return value / by if value > 0 and by > 0 else None


# Tables.

Column = tuple[str, Callable[[Report], float | str | None], str]
"""Head, value, and how to format it."""

COLUMNS: tuple[Column, ...] = (
    ("scenario", lambda report: report.scenario, ""),
    ("clients", lambda report: report.ready, ",d"),
    ("clients/s", lambda report: report.connections_per_second, ",.0f"),
    ("CPU µs/client", lambda report: report.cpu_microseconds_per_connection, ".0f"),
    ("KiB/client", lambda report: report.kib_per_connection, ".1f"),
    ("counted", lambda report: report.counted if report.seconds else None, ""),
    ("seconds", lambda report: report.seconds or None, ".2f"),
    ("/s", lambda report: report.figure.per_second or None, ",.0f"),
    ("/CPU s", lambda report: report.figure.per_cpu_second, ",.0f"),
    ("CPU µs each", lambda report: report.figure.cpu_microseconds_each, ".2f"),
    ("server busy", lambda report: report.server_busy, ".0%"),
    ("load busy", lambda report: report.generator_busy or None, ".0%"),
    ("p50 ms", lambda report: report.latency.p50 if report.latency else None, ".2f"),
    ("p99 ms", lambda report: report.latency.p99 if report.latency else None, ".2f"),
    ("p99.9 ms", lambda report: report.latency.p999 if report.latency else None, ".2f"),
    ("dead", lambda report: report.dead, "d"),
    ("lost", lambda report: report.lost, ",d"),
    ("gaps", lambda report: report.out_of_order, "d"),
)


def report_table(reports: Sequence[Report]) -> str:
    """Return the reports as lines of text, one each."""
    rows = [[head for head, _, _ in COLUMNS]]
    for report in reports:
        rows.append([_cell(value(report), form) for _, value, form in COLUMNS])
    return align(rows)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def remarks(report: Report) -> list[str]:
    """Return what one should know before believing a report."""
    found = [f"{count:,} x {reason}" for reason, count in report.errors.items()]
    if report.lost:
        found.append(f"{report.lost:,} deliveries never came")
    if report.out_of_order:
        found.append(f"{report.out_of_order:,} deliveries came after a gap, or out of order")
    if report.generator_busy > 0.9:
        found.append(
            "the load generator was the limit: believe the figures per CPU second, "
            "not those per second"
        )
    offered = report.rate * report.connections
    if report.figure.per_second < 0.95 * offered:
        found.append(
            f"overloaded: {offered:,.0f} {report.counted} a second were asked for; the latencies "
            "say only how long the measurement was"
        )
    return [f"{report.scenario}: {remark}" for remark in found]


def reports_json(reports: Sequence[Report]) -> str:
    """Return the reports as a JSON array."""
    return msgspec.json.format(msgspec.json.encode(reports), indent=2).decode()


def _cell(value: float | str | None, form: str) -> str:
    return "-" if value is None else format(value, form)
