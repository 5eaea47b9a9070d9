"""Notices when an application's files change."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import trio

WATCHED = frozenset({".css", ".html", ".js", ".json", ".mjs", ".py", ".toml"})
SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})

POLL_SECONDS = 0.5
FILES = 10_000
"""The most files that are looked at."""

Times = dict[Path, int]


async def changes(folder: Path) -> AsyncIterator[list[Path]]:
    """Yield what has changed, come or gone below ``folder``, each time that something has."""
    before = times(folder)
    while True:
        await trio.sleep(POLL_SECONDS)
        now = times(folder)
        if now != before:
            yield different(before, now)
            before = now


def times(folder: Path) -> Times:
    """Return when each file was changed last, as far as there are not too many."""
    return dict(islice(_times(folder), FILES))


def different(before: Times, now: Times) -> list[Path]:
    """Return the files that were changed, made or removed between the two."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def _times(folder: Path) -> Iterator[tuple[Path, int]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
        if "pyvenv.cfg" in names:  # a virtual environment, whatever its name
            folders.clear()
            continue
        for path in (Path(parent, name) for name in names):
            if path.suffix in WATCHED:
                try:
                    yield path, path.stat().st_mtime_ns
                except OSError:  # gone since it was listed
                    continue
