"""CPU and memory of a process tree, on a made-up /proc."""

from pathlib import Path

import pytest

from rooms.bench.process import ProcessTree, find_listener

TCP_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def add_process(
    proc: Path, pid: int, parent: int, threads: dict[int, int], memory_kib: int = 0
) -> None:
    """Put a process there; for each thread its CPU time in nanoseconds."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a (odd) name) S {parent} 1 1 0 -1")
    (folder / "status").write_text(f"Name:\tx\nVmRSS:\t{memory_kib} kB\nThreads:\t1\n")
    for thread, nanoseconds in threads.items():
        task = folder / "task" / str(thread)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"{nanoseconds} 12 3\n")


def add_listener(proc: Path, pids: list[int], port: int, inode: int, table: str = "tcp") -> None:
    """Make processes listen on a port by one socket."""
    (proc / "net").mkdir(exist_ok=True)
    line = f"   0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:0 0 0 0 {inode} 1\n"
    (proc / "net" / table).write_text(TCP_HEAD + line)
    for pid in pids:
        (proc / str(pid) / "fd" / "5").symlink_to(f"socket:[{inode}]")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with a server (10, 11, 12) and something else (20)."""
    add_process(tmp_path, 10, 1, {10: 1_000_000_000, 14: 500_000_000}, memory_kib=100)
    add_process(tmp_path, 11, 10, {11: 250_000_000}, memory_kib=50)
    add_process(tmp_path, 12, 11, {12: 250_000_000}, memory_kib=25)
    add_process(tmp_path, 20, 1, {20: 9_000_000_000}, memory_kib=9999)
    (tmp_path / "self").mkdir()
    return tmp_path


def test_a_tree_is_a_process_and_all_its_descendants(proc: Path) -> None:
    assert ProcessTree(10, proc).pids() == [10, 11, 12]


def test_cpu_time_is_that_of_all_threads_in_the_tree(proc: Path) -> None:
    assert ProcessTree(10, proc).cpu_seconds() == 2.0


def test_memory_is_that_of_all_processes_in_the_tree(proc: Path) -> None:
    assert ProcessTree(10, proc).resident_bytes() == 175 * 1024


def test_a_process_that_is_gone_uses_nothing(proc: Path) -> None:
    tree = ProcessTree(99, proc)
    assert (tree.pids(), tree.cpu_seconds(), tree.resident_bytes()) == ([], 0.0, 0)


def test_the_listener_is_the_process_that_has_the_socket(proc: Path) -> None:
    add_listener(proc, [20], 8000, 4711)
    assert find_listener(8000, proc) == 20
    assert find_listener(8001, proc) is None


def test_the_listener_is_found_over_ipv6_too(proc: Path) -> None:
    add_listener(proc, [20], 8000, 4711, table="tcp6")
    assert find_listener(8000, proc) == 20


def test_of_workers_that_share_a_socket_the_listener_is_their_parent(proc: Path) -> None:
    add_listener(proc, [12, 11, 10], 8000, 4711)
    assert find_listener(8000, proc) == 10


def test_without_proc_nothing_is_found(tmp_path: Path) -> None:
    assert find_listener(8000, tmp_path / "none") is None


def test_this_process_uses_cpu_and_memory() -> None:
    import os

    tree = ProcessTree(os.getpid())
    if not tree.pids():
        pytest.skip("this system has no /proc")
    assert tree.resident_bytes() > 1024 * 1024
    assert tree.cpu_seconds() >= 0
