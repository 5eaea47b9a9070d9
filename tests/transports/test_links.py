"""`rooms.transports.links`: the bytes of a connection, over a socket or over any stream."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from rooms.transports.base import Link
from rooms.transports.links import SocketLink, StreamLink
from rooms.transports.poller import Poller

SECONDS = 10
PLENTY = b"x" * 10_000_000


class NoFlusher:
    """A flusher with nothing to flush, and its tick."""

    batching = False
    size = 0

    @property
    def tick(self) -> NoFlusher:
        return self

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.fixture
def pair() -> Iterator[tuple[SocketLink, socket.socket]]:
    """Yield a link and its peer's blocking socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    with ours, peer:
        yield SocketLink(ours), peer


@asynccontextmanager
async def polled(ours: socket.socket) -> AsyncIterator[SocketLink]:
    """Yield a link whose socket is read by a poller."""
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run, NoFlusher())
        link = SocketLink(ours, poller)
        with trio.fail_after(SECONDS):
            yield link
        await link.aclose()
        nursery.cancel_scope.cancel()


def reset(peer: socket.socket) -> None:
    """End a connection without a goodbye."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def fill(link: SocketLink) -> int:
    """Send until the kernel takes no more; return how much it took."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += link.send_nowait(PLENTY)
    return sent


async def test_bytes_go_both_ways(pair: tuple[SocketLink, socket.socket]) -> None:
    link, peer = pair
    assert link.send_nowait(b"to the peer") == 11
    assert peer.recv(100) == b"to the peer"
    peer.sendall(b"to us")
    assert await link.receive_some() == b"to us"
    await link.send_all(b"in the end")
    assert peer.recv(100) == b"in the end"


async def test_what_the_kernel_does_not_take_is_not_sent(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, _ = pair
    assert 0 < fill(link) < 2 * len(PLENTY)


async def test_all_is_sent_as_the_peer_reads(pair: tuple[SocketLink, socket.socket]) -> None:
    link, peer = pair
    theirs = trio.SocketStream(trio.socket.from_stdlib_socket(peer))
    size = 0
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.send_all, PLENTY)
            while size < len(PLENTY):
                size += len(await theirs.receive_some())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what arrived")
async def test_progress_tells_that_the_peer_takes_something_long_before_it_has_all(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, peer = pair
    theirs = trio.SocketStream(trio.socket.from_stdlib_socket(peer))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.send_all, PLENTY)
        await trio.testing.wait_all_tasks_blocked(0.01)
        stuck = link.progress()
        assert stuck is not None
        assert link.progress() == stuck
        with trio.fail_after(SECONDS):
            while link.progress() == stuck:
                await theirs.receive_some(65536)
        assert (link.progress() or 0) > stuck
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what arrived")
async def test_what_is_sent_to_somebody_who_takes_no_more_is_no_progress(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, _ = pair
    fill(link)
    before = None
    with trio.fail_after(SECONDS):
        while before != link.progress():  # until the peer's machine takes no more
            before = link.progress()
            await trio.testing.wait_all_tasks_blocked(0.05)
    assert before is not None
    assert before > 0
    with contextlib.suppress(BlockingIOError):
        link.send_nowait(b"x")
    assert link.progress() == before


async def test_nothing_is_known_of_the_progress_of_a_closed_socket_or_a_stream() -> None:
    with socket.socket() as closed:
        link = SocketLink(closed)
    assert link.progress() is None
    stream, _ = trio.testing.memory_stream_pair()
    assert StreamLink(stream).progress() is None


async def test_an_end_is_nothing_and_a_reset_breaks(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, peer = pair
    peer.shutdown(socket.SHUT_WR)
    assert await link.receive_some() == b""
    reset(peer)
    with pytest.raises(trio.BrokenResourceError):
        await link.send_all(PLENTY)
    with pytest.raises(OSError, match="Errno"):
        link.send_nowait(b"x")
    await link.finish()


async def test_finishing_lets_the_peer_read_to_the_end_whatever_it_still_sends(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, peer = pair
    theirs = trio.SocketStream(trio.socket.from_stdlib_socket(peer))
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_to_the_end, theirs, PLENTY)
            link.send_nowait(b"goodbye")
            nursery.start_soon(link.finish)
            assert await theirs.receive_some() == b"goodbye"
            assert await theirs.receive_some() == b""


async def send_to_the_end(stream: trio.SocketStream, data: bytes) -> None:
    """Send ``data`` and say that this was all."""
    await stream.send_all(data)
    await stream.send_eof()


async def test_closing_wakes_who_reads_and_may_come_twice(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, _ = pair
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed, link)
            await trio.testing.wait_all_tasks_blocked()
            await link.aclose()
            await link.aclose()


async def expect_closed(link: Link) -> None:
    """Read, and find the link closed under one's hands."""
    with pytest.raises(trio.ClosedResourceError):
        await link.receive_some()


async def test_without_a_poller_a_socket_must_be_read(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, _ = pair
    assert not link.watch(lambda data: None)
    link.pause()
    link.resume()


@pytest.mark.skipif(not Poller.available(), reason="this platform has no epoll")
async def test_a_watched_socket_calls_with_what_arrives_and_at_the_end(
    pair: tuple[SocketLink, socket.socket],
) -> None:
    link, peer = pair
    send, receive = trio.open_memory_channel[bytes](10)
    async with polled(link.socket) as watched:
        assert watched.watch(send.send_nowait)
        peer.sendall(b"first")
        assert await receive.receive() == b"first"
        watched.pause()
        peer.sendall(b"second")
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(trio.WouldBlock):
            receive.receive_nowait()
        watched.resume()
        assert await receive.receive() == b"second"
        reset(peer)
        assert await receive.receive() == b""


async def test_a_stream_takes_nothing_at_once_and_everything_in_time() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = StreamLink(ours)
    with pytest.raises(BlockingIOError):
        link.send_nowait(b"x")
    assert not link.watch(lambda data: None)
    await link.send_all(b"to the peer")
    assert await theirs.receive_some() == b"to the peer"
    await theirs.send_all(b"to us")
    assert await link.receive_some() == b"to us"


async def test_finishing_a_stream_waits_for_the_peers_end() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = StreamLink(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.finish)
        assert await theirs.receive_some() == b""
        await theirs.send_all(b"nobody reads this")
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await theirs.send_eof()


async def test_finishing_a_stream_whose_peer_is_gone_is_no_failure() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.aclose()
    link = StreamLink(ours)
    await link.finish()
    await link.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await link.receive_some()
