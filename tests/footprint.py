"""What a process holds: tasks, sockets, memory."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from pathlib import Path

import trio

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def task_names() -> Counter[str]:
    """Return the names of all of Trio's tasks, and how many there are of each."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, waiting = Counter[str](), [root]
    while waiting:
        task = waiting.pop()
        found[task.name] += 1
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def open_sockets() -> int:
    """Return how many sockets are open."""
    return sum(_is_socket(int(name)) for name in os.listdir("/dev/fd"))


def resident_bytes() -> int | None:
    """Return how much memory the process holds, or None where that cannot be known."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    return None


def _is_socket(descriptor: int) -> bool:
    with contextlib.suppress(OSError):  # the one with which the list was made
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    return False
