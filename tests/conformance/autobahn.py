"""Runs the Autobahn suite against a server of ours and writes the table that the docs show.

`python -m tests.conformance.autobahn PYTHON2 FOLDER` is what `scripts/conformance` calls.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.echo_server import PATH

AGENT = "rooms"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
"""All families but 12 and 13: compression is not offered, so there is nothing to test."""

FAMILIES = {
    "1": "framing",
    "2": "ping and pong",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "limits",
    "10": "miscellaneous",
}
BEHAVIORS = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED")
TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- autobahn -->\n", "<!-- /autobahn -->\n"
RUN = "from autobahntestsuite.wstest import run; run()"
SECONDS = 900
"""The most that a run may take; it takes half a minute."""

Result = dict[str, Any]


@contextmanager
def server() -> Iterator[int]:
    """Have a server echo in a process of its own while the block runs; gives its port."""
    command = [sys.executable, "-m", "tests.conformance.echo_server"]
    log = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def fuzz(python2: str, folder: Path, port: int) -> dict[str, Result]:
    """Run the suite's fuzzing client against a port; returns each case's result.

    Args:
        folder: Holds the suite; its reports are written there too.
    """
    specification = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}{PATH}"}],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "specification.json").write_text(json.dumps(specification), encoding="utf-8")
    command = [python2, "-c", RUN, "-m", "fuzzingclient", "-s", str(folder / "specification.json")]
    environment = {**os.environ, "PYTHONPATH": str(folder / "suite")}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=SECONDS, check=True)
    index: dict[str, Any] = json.loads((folder / "reports" / "index.json").read_text())
    results: dict[str, Result] = index[AGENT]
    return results


def table(results: dict[str, Result]) -> str:
    """Return the results as a table: a family a line, then what is not plainly right."""
    counts: Counter[tuple[str, str]] = Counter()
    remarkable: dict[str, list[str]] = {}
    for case in sorted(results, key=_in_order):
        behavior = worst(results[case])
        counts[case.split(".")[0], behavior] += 1
        if behavior != "OK":
            remarkable.setdefault(behavior, []).append(case)
    lines = [f"| family | {' | '.join(BEHAVIORS)} |", "|---" * (len(BEHAVIORS) + 1) + "|"]
    for family, title in FAMILIES.items():
        cells = " | ".join(str(counts[family, behavior]) for behavior in BEHAVIORS)
        lines.append(f"| {family} {title} | {cells} |")
    notes = [f"{behavior}: {', '.join(cases)}." for behavior, cases in remarkable.items()]
    return "\n".join([*lines, "", *notes]) + "\n"


def worst(result: Result) -> str:
    """Return the worse of how a case went and how its connection ended; what is new is bad."""
    found = (result["behavior"], result["behaviorClose"])
    known = [kind if kind in BEHAVIORS else "FAILED" for kind in found]
    return max(known, key=BEHAVIORS.index)


def replace_table(page: str, new: str) -> str:
    """Return ``page`` with what is between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{new}{END}{after}"


def _in_order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main(python2: str, folder: str) -> None:
    """Run the suite, write the table into the docs, and fail if a case failed."""
    started = time.monotonic()
    with server() as port:
        results = fuzz(python2, Path(folder).resolve(), port)
    new = table(results)
    TABLE.write_text(replace_table(TABLE.read_text(encoding="utf-8"), new), encoding="utf-8")
    print(f"{new}\n{len(results)} cases in {time.monotonic() - started:.0f} s")
    if "FAILED" in map(worst, results.values()):
        sys.exit("conformance: a case failed: its report is in the folder of reports")


if __name__ == "__main__":
    main(*sys.argv[1:3])
