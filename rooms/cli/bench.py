"""``rooms bench``: a load generator for room servers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rooms.bench.plan import Plan
    from rooms.bench.progress import ProgressLine
    from rooms.bench.report import Report

NAMES = ("fan-out", "rooms", "echo", "storm", "idle", "rate", "publish", "recover")
PROTOCOLS = ("native", "msgpack", "zaptools", "fdw", "tranzit", "plain", "socketio")
NATIVE = frozenset({"publish", "recover"})
"""Scenarios that take the replies of the native protocol."""

LOST = 1
CANNOT = 2


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice(NAMES), metavar="[SCENARIO]...")
@click.option("--url", help="Server that runs already, such as ws://127.0.0.1:8000/ws.")
@click.option("--app", metavar="MODULE:APP", help="Application of the server that is started.")
@click.option(
    "--broker", metavar="URL", help="Broker of the server that is started, such as memory://."
)
@click.option(
    "--history", metavar="N", type=int, help="Publications that it keeps of a room: 0 for none."
)
@click.option("--remote", is_flag=True, help="Load another machine: only one that is yours.")
@click.option("--pid", type=int, help="Root process of the server, if it cannot be found.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    help="What the server speaks [default: native].",
)
@click.option("--request", is_flag=True, default=None, help="Echo by an event of the server's.")
@click.option("--keys", is_flag=True, default=None, help="Publications carry a key.")
@click.option("-c", "--connections", type=int, help="Clients in all.")
@click.option("--rooms", type=int, help="Rooms, of equal size.")
@click.option("--window", type=int, help="Publications of each publisher under way [default: 1].")
@click.option("--rate", type=float, help="Publications a second of each publisher, come what may.")
@click.option("--size", type=int, help="Bytes of a payload [default: 128].")
@click.option("--in-flight", type=int, help="Handshakes at a time.")
@click.option("--settle", type=float, help="Seconds between connecting and publishing.")
@click.option("--warmup", type=float, help="Seconds of load before measuring [default: 0.7].")
@click.option("--duration", type=float, help="Seconds of measuring [default: 3].")
@click.option("--sources", type=int, help="Addresses that clients come from [default: 16].")
@click.option("--workers", type=int, help="Processes [default: one a core, less one].")
@click.option("--pin/--no-pin", default=None, help="Bind server and workers to cores of their own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    scenarios: tuple[str, ...],
    url: str | None,
    app: str | None,
    broker: str | None,
    history: int | None,
    remote: bool,
    pid: int | None,
    as_json: bool,
    **changes: Any,
) -> None:
    """Measure a room server: how much, how fast, how late, how heavy.

    \b
    fan-out  one room; each publication goes to 1,000 members
    rooms    200 rooms of 10 members, each with a publisher
    echo     100 clients, each alone in its room, send and wait for what comes back
    storm    5,000 clients connect as fast as they are let in
    idle     5,000 silent members of one room; what do they weigh?
    rate     one room of 1,000, 100 publications a second; how late do they come?
    publish  200 clients publish, each in a room of its own; how soon is it acknowledged?
    recover  1,000 clients of a room are cut and miss 100 messages; how soon do all have them?

    Without SCENARIO all are run.  Without --url a server is started for each, and ended after it:
    the built-in chat, or --app.  To recover takes a server that keeps what was missed.

    Exit code 1 means that clients or deliveries were lost.
    """
    from rooms.bench.errors import BenchError
    from rooms.bench.progress import ProgressLine

    signal.signal(signal.SIGTERM, _stop)
    progress = ProgressLine(sys.stderr)
    try:
        plans = _plans(scenarios or _possible(changes), changes, started=url is None)
        options = _server_options(broker, history)
        reports = list(_measure(plans, progress, url, app, options, remote, pid))
    except BenchError as error:
        progress.close()
        click.echo(f"rooms bench: {error}", err=True)
        raise SystemExit(CANNOT) from None
    progress.close()
    _print(reports, as_json)
    raise SystemExit(0 if all(report.sound for report in reports) else LOST)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End in good order, so that the server and the workers that were started end too."""
    raise SystemExit(128 + signal.SIGTERM)


def _possible(changes: dict[str, Any]) -> tuple[str, ...]:
    """Return the scenarios that are run when none is named."""
    native = changes["protocol"] in (None, "native") and not changes["request"]
    return tuple(name for name in NAMES if native or name not in NATIVE)


def _server_options(broker: str | None, history: int | None) -> list[str]:
    """Return what the server that is started gets beside its app."""
    options = [] if broker is None else ["--broker", broker]
    return options if history is None else [*options, "--history-messages", str(history)]


def _plans(scenarios: tuple[str, ...], changes: dict[str, Any], started: bool) -> list[Plan]:
    from rooms.bench.plan import make_plan
    from rooms.bench.run import default_workers

    if changes["workers"] is None:
        changes["workers"] = default_workers()
    if changes["pin"] is None:
        changes["pin"] = started and hasattr(os, "sched_setaffinity")
    return [make_plan(scenario, **changes) for scenario in scenarios]


def _measure(
    plans: list[Plan],
    progress: ProgressLine,
    url: str | None,
    app: str | None,
    options: list[str],
    remote: bool,
    pid: int | None,
) -> Iterator[Report]:
    from rooms.bench.errors import BenchError
    from rooms.bench.run import measure_local, measure_running

    if url is None:
        return measure_local(plans, app, progress, options)
    if app is not None or options:
        raise BenchError("--app, --broker and --history are for a server that is started here.")
    return measure_running(plans, url, remote=remote, pid=pid, watch=progress)


def _print(reports: list[Report], as_json: bool) -> None:
    from rooms.bench.report import remarks, report_table, reports_json

    click.echo(reports_json(reports) if as_json else report_table(reports))
    for report in reports:
        for remark in remarks(report):
            click.echo(remark, err=True)
