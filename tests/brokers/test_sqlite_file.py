"""`rooms.brokers.sqlite_file`: what can be wrong with a file, said before the server starts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from msgspec import Raw
from structlog.testing import capture_logs

from rooms.brokers.sqlite import SqliteBroker
from rooms.brokers.sqlite_file import VERSION, File, boot_id
from rooms.errors import ConfigError
from tests.brokers.files import KEPT, change, full_disk, look, opened

PAGE_SIZE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.db"


def open_and_close(path: Path) -> None:
    File(path, "normal", "boot 1").close()


def refusal(path: Path) -> str:
    """Return why a file cannot be used; nothing of it stays open."""
    with pytest.raises(ConfigError) as caught:
        open_and_close(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    return message


@pytest.fixture
def made(path: Path) -> Path:
    """A file that holds rooms and publications."""
    file = File(path, "normal", "boot 1")
    file.writer.executemany(
        "INSERT INTO publications VALUES (1, ?, 0, 'said', ?, NULL)",
        [(number, b"x" * 1000) for number in range(100)],
    )
    file.close()
    return path


def test_a_new_file_is_made_and_found_again(path: Path) -> None:
    open_and_close(path)
    assert look(path, "PRAGMA user_version") == VERSION
    assert look(path, "PRAGMA journal_mode") == "wal"
    assert look(path, "PRAGMA auto_vacuum") == 2
    open_and_close(path)


def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    open_and_close(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'gone'}" in refusal(tmp_path / "gone" / "rooms.db")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "is a folder: name a file in it" in refusal(tmp_path)


def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    content = b"Dear diary, today I met a file that was not a database.\n" * 100
    path.write_bytes(content)
    assert "it is not a database: choose another file" in refusal(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    change(path, "CREATE TABLE diary (day TEXT)")
    assert "another program's database: choose another file" in refusal(path)
    assert look(path, "SELECT group_concat(name) FROM sqlite_schema") == "diary"


def test_a_file_of_a_later_release_is_left_as_it_is(made: Path) -> None:
    change(made, f"PRAGMA user_version = {VERSION + 1}")
    assert f"version {VERSION + 1}, this release knows {VERSION}" in refusal(made)
    assert look(made, "SELECT count(*) FROM publications") == 100


def test_a_damaged_file_is_refused(made: Path) -> None:
    with made.open("r+b") as file:
        file.seek(-20 * PAGE_SIZE, os.SEEK_END)
        file.write(b"\xff" * 10 * PAGE_SIZE)
    assert "damaged" in refusal(made)


def test_a_file_that_was_cut_off_is_refused(made: Path) -> None:
    os.truncate(made, made.stat().st_size // 2)
    assert "damaged" in refusal(made)


async def test_two_servers_cannot_have_one_file(path: Path) -> None:
    async with opened(path) as node:
        assert "is open in another server: stop that one" in refusal(path)
        await node.publish("a", "said")
    open_and_close(path)


async def test_a_server_may_wait_for_another_to_let_go_of_the_file(path: Path) -> None:
    patient = SqliteBroker(path, patience=60)
    positions = []

    async def take_over() -> None:
        async with patient.open(lambda publication: None, lambda room: KEPT):
            positions.append((await patient.publish("a", "said", Raw(b"2"))).offset)

    async with trio.open_nursery() as nursery, opened(path) as node:
        await node.publish("a", "said")
        with capture_logs() as logs:
            nursery.start_soon(take_over)
            while not logs:
                await trio.lowlevel.checkpoint()
        assert not positions
    assert positions == [2]
    assert [log["event"] for log in logs] == ["waiting for another server to close its file"]


async def test_it_does_not_wait_for_ever(path: Path) -> None:
    async with opened(path):
        with pytest.raises(ConfigError, match="is open in another server"):
            async with SqliteBroker(path, patience=0.1).open(lambda publication: None):
                pytest.fail("two servers have the file")


@pytest.fixture
def other(made: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection."""
    with closing(sqlite3.connect(made)) as connection:
        yield connection


def test_a_file_that_another_program_has_locked_is_refused(
    made: Path, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    assert "another program has locked it: end that program" in refusal(made)


def test_a_place_where_nobody_may_write_is_refused() -> None:
    if not Path("/proc/version").exists():
        pytest.skip("this system has no /proc")
    assert "it cannot be opened or made: let this user write it" in refusal(Path("/proc/rooms.db"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everything")
def test_a_file_that_this_user_may_not_write_is_refused(made: Path) -> None:
    made.chmod(0o444)
    assert "it may not be written" in refusal(made)


def test_a_full_disk_is_refused(path: Path) -> None:
    with full_disk():
        message = refusal(path)
    assert "disk" in message
    open_and_close(path)


def test_an_sqlite_that_is_too_old_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert "3.35 or later" in refusal(path)


def test_a_machine_says_the_same_until_it_starts_again() -> None:
    if not Path("/proc/sys/kernel/random/boot_id").exists():
        pytest.skip("this system does not say when it was started")
    assert boot_id() == boot_id() != ""
