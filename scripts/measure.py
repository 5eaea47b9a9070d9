"""Measures the size of functions and files: `python scripts/measure.py [FOLDER]`."""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """How many lines something has, and where it is."""

    lines: int
    place: str


def python_files(root: Path) -> list[Path]:
    """All Python files of a tree, in a fixed order."""
    return sorted(root.rglob("*.py"))


def file_sizes(root: Path) -> list[Size]:
    """The size of every file, the shortest first."""
    files = python_files(root)
    return sorted(
        Size(len(path.read_text(encoding="utf-8").splitlines()), str(path)) for path in files
    )


def function_sizes(root: Path) -> list[Size]:
    """The size of every function, from its `def` to its last line, the shortest first."""
    return sorted(size for path in python_files(root) for size in _functions(path))


def _functions(path: Path) -> Iterator[Size]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.end_lineno or node.lineno
            yield Size(last - node.lineno + 1, f"{path}:{node.lineno} {node.name}")


def median(sizes: list[Size]) -> float:
    """The size that half of them do not exceed."""
    return statistics.median(size.lines for size in sizes)


def ninth_decile(sizes: list[Size]) -> int:
    """The size that 90 % of them do not exceed; `sizes` is sorted."""
    return sizes[int((len(sizes) - 1) * 0.9)].lines


def report(name: str, sizes: list[Size]) -> str:
    """One line of figures for people."""
    longest = sizes[-1]
    return (
        f"{len(sizes)} {name}: median {median(sizes):g}, 90 % within {ninth_decile(sizes)}, "
        f"longest {longest.lines} ({longest.place})"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "rooms")
    print(report("files", file_sizes(folder)))
    print(report("functions", function_sizes(folder)))
