"""What a server costs: CPU time and memory of its whole process tree, from Linux's ``/proc``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PROC = Path("/proc")
_LISTENING = "0A"


class Meter(Protocol):
    """Tells what a server uses."""

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has taken so far."""
        ...

    def resident_bytes(self) -> int:
        """Return how much memory of the machine it has in use."""
        ...


class ProcessTree:
    """A process and all its descendants.

    Args:
        pid: The root.
        proc: Where the kernel tells about processes.
    """

    def __init__(self, pid: int, proc: Path = PROC) -> None:
        self.pid = pid
        self._proc = proc

    def pids(self) -> list[int]:
        """Return the processes of the tree that live now, the root first."""
        parents = {pid: _parent(self._proc, pid) for pid in _all_pids(self._proc)}
        tree = [self.pid] if self.pid in parents else []
        for pid in tree:  # grows while it is gone through
            tree += [child for child, parent in parents.items() if parent == pid]
        return tree

    def cpu_seconds(self) -> float:
        """Return the CPU time of all threads that live now, to the nanosecond."""
        total = 0
        for pid in self.pids():
            for schedstat in (self._proc / str(pid) / "task").glob("*/schedstat"):
                total += int((_read(schedstat) or "0").split()[0])
        return total / 1e9

    def resident_bytes(self) -> int:
        """Return how much memory of the machine the tree has in use."""
        total = 0
        for pid in self.pids():
            for line in _read(self._proc / str(pid) / "status").splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total


def find_listener(port: int, proc: Path = PROC) -> int | None:
    """Return the process that listens on a port of this machine; None if it cannot be told.

    Where several do, as workers that inherited the socket, it is the one they descend from.
    """
    inodes = _listening_inodes(port, proc)
    links = {f"socket:[{inode}]" for inode in inodes}
    pids = {pid for pid in _all_pids(proc) if links & _descriptors(proc, pid)} if links else set()
    roots = [pid for pid in sorted(pids) if _parent(proc, pid) not in pids]
    return roots[0] if roots else None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        for line in _read(proc / "net" / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _descriptors(proc: Path, pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it is gone, or somebody else's
        for descriptor in (proc / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(os.readlink(descriptor))
    return found


def _all_pids(proc: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:  # no Linux
        return []


def _parent(proc: Path, pid: int) -> int:
    """Return a process's parent; its name, which comes before in brackets, may hold anything."""
    fields = _read(proc / str(pid) / "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # processes end while they are looked at
        return ""
