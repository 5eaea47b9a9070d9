"""`rooms.server.listen`: connections are accepted, and kept from each other."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from structlog.testing import capture_logs

from rooms.config import Settings
from rooms.server import admission, listen
from rooms.server.admission import Admission, Visit
from rooms.server.counters import Counters
from rooms.server.door import Door
from rooms.server.listen import ACCEPT_BATCH, LEAST_BATCH, TURN_SECONDS, Listener, next_batch
from rooms.server.refusals import Refusals

SECONDS = 10
Serve = Callable[[socket.socket, Visit], Awaitable[None]]


class FakeDoor:
    """A door behind which something else happens."""

    def __init__(self, serve: Serve, **settings: Any) -> None:
        self.counters = Counters()
        self.admission = Admission(Settings(**settings), Refusals(self.counters))
        self.serve_socket = serve

    async def serve_tls(self, connection: socket.socket, tls: ssl.SSLContext, visit: Visit) -> None:
        connection.send(b"tls")
        await trio.lowlevel.checkpoint()


class FailingSocket(socket.socket):
    """A listening socket whose first calls of ``accept`` fail."""

    failures: list[int]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            raise OSError(self.failures.pop(0), "on purpose")
        return super().accept()


async def greet(connection: socket.socket, visit: Visit) -> None:
    connection.send(b"hello")
    await trio.lowlevel.checkpoint()


def listening(failures: list[int] | None = None) -> FailingSocket:
    """Return a socket that listens on a free port."""
    sock = FailingSocket()
    sock.failures = failures or []
    sock.bind(("127.0.0.1", 0))
    sock.listen(4 * ACCEPT_BATCH)
    return sock


@asynccontextmanager
async def listener(
    serve: Serve = greet,
    sock: FailingSocket | None = None,
    tls: ssl.SSLContext | None = None,
    door: FakeDoor | None = None,
) -> AsyncIterator[Listener]:
    """Listen while the block runs, then stop and wait for the last connection."""
    with sock or listening() as bound:
        made = Listener(cast(Door, door or FakeDoor(serve)), bound, tls)
        with trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.run)
                yield made
                made.stop()


async def ask(port: int) -> bytes:
    """Return what a new connection is told until its end."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        return b"".join([bytes(part) async for part in stream])


async def test_every_connection_is_served_and_closed() -> None:
    async with listener() as made:
        assert [await ask(made.port) for _ in range(3)] == [b"hello"] * 3


async def test_more_than_a_batch_may_come_at_once() -> None:
    async with listener() as made:
        told: list[bytes] = []

        async def come() -> None:
            told.append(await ask(made.port))

        async with trio.open_nursery() as nursery:
            for _ in range(2 * ACCEPT_BATCH + 1):
                nursery.start_soon(come)
    assert told == [b"hello"] * (2 * ACCEPT_BATCH + 1)


async def test_a_connection_neither_blocks_nor_hoards_small_writes() -> None:
    seen: list[tuple[bool, int, str]] = []

    async def note(connection: socket.socket, visit: Visit) -> None:
        nodelay = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        seen.append((connection.getblocking(), nodelay, visit.remote))
        await trio.lowlevel.checkpoint()

    async with listener(note) as made:
        await ask(made.port)
    ((blocking, nodelay, remote),) = seen
    assert (blocking, bool(nodelay)) == (False, True)
    assert remote.startswith("127.0.0.1:")


@pytest.mark.parametrize("raised", [ValueError, SystemExit])  # a page's view may call exit()
async def test_what_one_connection_raises_is_logged_and_reaches_no_other(
    raised: type[BaseException],
) -> None:
    async def fail_once(connection: socket.socket, visit: Visit) -> None:
        if not errors:
            errors.append(visit.remote)
            raise raised(visit.remote)
        await greet(connection, visit)

    errors: list[str] = []
    with capture_logs() as logs:
        async with listener(fail_once) as made:
            assert await ask(made.port) == b""
            assert await ask(made.port) == b"hello"
    assert [(log["event"], log["log_level"]) for log in logs] == [("connection failed", "error")]
    assert logs[0]["remote"] == errors[0]


@pytest.mark.parametrize(
    "error", [trio.BrokenResourceError(), trio.ClosedResourceError(), ConnectionResetError()]
)
async def test_a_connection_that_is_lost_is_nobodys_fault(error: Exception) -> None:
    async def lose(connection: socket.socket, visit: Visit) -> None:
        raise ExceptionGroup("of a nursery", [error])

    with capture_logs() as logs:
        async with listener(lose) as made:
            await ask(made.port)
    assert [(log["event"], log["log_level"]) for log in logs] == [("connection lost", "debug")]


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EAGAIN])
async def test_who_is_gone_before_being_accepted_is_passed_over(number: int) -> None:
    with capture_logs() as logs:
        async with listener(sock=listening([number])) as made:
            assert await ask(made.port) == b"hello"
    assert logs == []


async def test_without_a_free_descriptor_it_waits_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "PAUSE_SECONDS", 0)
    with capture_logs() as logs:
        async with listener(sock=listening([errno.EMFILE, errno.ENFILE])) as made:
            assert await ask(made.port) == b"hello"
    assert [log["log_level"] for log in logs] == ["error"]
    assert "raise `ulimit -n`" in logs[0]["event"]


async def test_stopping_closes_the_port_and_waits_for_who_is_connected() -> None:
    let_go = trio.Event()

    async def hold(connection: socket.socket, visit: Visit) -> None:
        connection.send(b"held")
        await let_go.wait()

    async with listener(hold) as made:
        stream = await trio.open_tcp_stream("127.0.0.1", made.port)
        assert await stream.receive_some() == b"held"
        made.stop()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", made.port)
        let_go.set()
        assert await stream.receive_some() == b""
        await stream.aclose()


async def test_with_a_certificate_everybody_is_to_speak_tls() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    async with listener(tls=tls) as made:
        assert await ask(made.port) == b"tls"


class FullDoor(FakeDoor):
    """A door before which nobody may wait."""

    def __init__(self) -> None:
        super().__init__(greet, connections=1)
        self.admission.arrive_unlimited("memory")


@pytest.mark.parametrize(
    ("tls", "answer"),
    [(None, b"HTTP/1.1 503 Service Unavailable"), (ssl.PROTOCOL_TLS_SERVER, b"")],
)
async def test_who_cannot_even_wait_is_told_so_as_far_as_that_costs_nothing(
    tls: int | None, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LINGERING", 0)
    context = None if tls is None else ssl.SSLContext(tls)
    door = FullDoor()
    async with listener(tls=context, door=door) as made:
        assert (await ask(made.port)).split(b"\r\n")[0] == answer
    assert door.counters.get("refusals", "connections") == 1


def test_the_longer_others_have_to_wait_the_fewer_are_accepted_at_a_time() -> None:
    batches = [ACCEPT_BATCH]
    for _ in range(10):
        batches.append(next_batch(batches[-1], 2 * TURN_SECONDS))
    assert batches == sorted(batches, reverse=True)
    assert batches[-1] == LEAST_BATCH
    for _ in range(10):
        batches.append(next_batch(batches[-1], TURN_SECONDS / 2))
    assert batches[-1] == ACCEPT_BATCH
