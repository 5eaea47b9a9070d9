"""The documentation names everything that it promises to name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rooms import errors
from rooms.http.metrics import PREFIX
from rooms.server.counters import METRICS
from rooms.server.readings import READINGS

DOCS = Path(__file__).parent.parent / "docs"


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in kind.__subclasses__():
        if subclass.__module__ == errors.__name__:
            yield subclass
            yield from subclasses(subclass)


def first_line(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").splitlines()[0].replace("``", "`")


def rows() -> Iterator[str]:
    for error in subclasses(errors.RequestError):
        assert issubclass(error, errors.RequestError)
        yield f"| `{error.code}` | {first_line(error)} |"
    for end in subclasses(errors.Disconnect):
        assert issubclass(end, errors.Disconnect)
        back = "yes" if errors.may_reconnect(end.close_code) else "no"
        yield f"| {end.close_code} | {first_line(end)} | {back} |"


@pytest.mark.parametrize("row", list(rows()))
def test_the_protocol_lists_every_code(row: str) -> None:
    assert f"\n{row}\n" in (DOCS / "protocol.md").read_text(encoding="utf-8")


def metric_rows() -> Iterator[str]:
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{PREFIX}{name}_total` | {labels} | {metric.help} |"
    for name, reading in READINGS.items():
        suffix = "_total" if reading.kind == "counter" else ""
        yield f"| `{PREFIX}{name}{suffix}` | {reading.kind} | {reading.help} |"
    yield f"| `{PREFIX}build_info` | info | `version`: of the package that runs. |"


def test_the_metrics_are_listed_all_and_no_others() -> None:
    lines = (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if re.fullmatch(rf"\| `{PREFIX}\w+` \| .*", line)]
    assert listed == list(metric_rows())


def named_tests() -> list[tuple[str, str]]:
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    return re.findall(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`", text)


@pytest.mark.parametrize(("file", "test"), named_tests())
def test_the_threat_model_names_tests_that_there_are(file: str, test: str) -> None:
    code = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert (f"def {test}(" if test else "def test_") in code


def test_each_threat_is_tested_somewhere() -> None:
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    table = text.partition("| against | by | tested in |\n")[2].partition("\n\n")[0]
    _, *threats = table.splitlines()
    assert len(threats) > 10
    assert all("test_" in threat.split(" | ")[2] for threat in threats)
