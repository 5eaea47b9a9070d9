"""`rooms.transports.tls`: TLS whose frames go out where they are written."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trio.testing
import trustme

from rooms.transports.base import Link
from rooms.transports.link_stream import LinkStream
from rooms.transports.links import SocketLink, StreamLink
from rooms.transports.tls import TlsLink


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("rooms.test").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Narrow(Link):
    """A link whose kernel takes a few bytes at once."""

    def __init__(self, stream: trio.abc.Stream, bytes_at_once: int) -> None:
        self._stream = stream
        self._bytes_at_once = bytes_at_once
        self.taken = b""

    def send_nowait(self, data: bytes) -> int:
        self.taken += data[: self._bytes_at_once]
        return min(len(data), self._bytes_at_once)

    async def send_all(self, data: bytes) -> None:
        taken, self.taken = self.taken, b""
        await self._stream.send_all(taken + data)

    async def receive_some(self) -> bytes:
        return bytes(await self._stream.receive_some())

    async def finish(self) -> None:
        await self._stream.aclose()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def connect(
    link: TlsLink, stream: trio.abc.Stream, context: ssl.SSLContext
) -> trio.SSLStream[trio.abc.Stream]:
    """Shake hands from both ends and return the client's."""
    client = trio.SSLStream(stream, context, server_hostname="rooms.test", https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.shake_hands)
        nursery.start_soon(client.do_handshake)
    return client


async def receive_exactly(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some()
    return data


def socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


async def test_what_is_sent_at_once_needs_no_task(contexts: Contexts) -> None:
    ours, theirs = socket_pair()
    link = TlsLink(SocketLink(ours), contexts[0])
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    client = await connect(link, stream, contexts[1])
    assert link.send_nowait(b"one") == 3
    assert link.send_nowait(b"two") == 3
    assert await receive_exactly(client, 6) == b"onetwo"
    await client.send_all(b"three")
    assert await link.receive_some() == b"three"
    await link.aclose()
    assert await client.receive_some() == b""
    await trio.aclose_forcefully(client)


async def test_what_the_kernel_does_not_take_is_sent_once_and_first(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    narrow = Narrow(ours, bytes_at_once=10)
    link = TlsLink(narrow, contexts[0])
    client = await connect(link, theirs, contexts[1])
    assert link.send_nowait(b"a" * 100) == 0
    await link.send_all(b"a" * 100 + b"b" * 50)
    assert await receive_exactly(client, 150) == b"a" * 100 + b"b" * 50
    await link.send_all(b"c" * 10)
    assert await receive_exactly(client, 10) == b"c" * 10


async def test_a_peer_that_speaks_no_tls_is_refused(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    await theirs.send_all(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(trio.BrokenResourceError, match="TLS handshake failed"):
        await link.shake_hands()


async def test_a_peer_that_leaves_during_the_handshake_is_gone(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    await theirs.aclose()
    with pytest.raises(trio.BrokenResourceError, match="closed during"):
        await link.shake_hands()


@pytest.mark.parametrize("politely", [True, False])
async def test_the_peers_end_is_the_end(contexts: Contexts, politely: bool) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    client = await connect(link, theirs, contexts[1])
    await client.send_all(b"last")
    if politely:
        await client.aclose()
    else:
        await theirs.aclose()
    assert await link.receive_some() == b"last"
    assert await link.receive_some() == b""


async def test_garbage_after_the_handshake_breaks_the_connection(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    await connect(link, theirs, contexts[1])
    await theirs.send_all(b"\xff" * 100)
    with pytest.raises(trio.BrokenResourceError, match="TLS failed"):
        await link.receive_some()


async def test_a_watched_link_calls_with_what_was_decrypted(contexts: Contexts) -> None:
    class Watched(StreamLink):
        __slots__ = ("call",)

        def watch(self, call: object) -> bool:
            self.call = call
            return True

    ours, theirs = trio.testing.memory_stream_pair()
    watched = Watched(ours)
    link = TlsLink(watched, contexts[0])
    client = await connect(link, theirs, contexts[1])
    got: list[bytes] = []
    assert link.watch(got.append)
    await client.send_all(b"one")
    cipher = await watched.receive_some()
    watched.call(cipher[:7])  # type: ignore[operator]
    assert got == []
    watched.call(cipher[7:])  # type: ignore[operator]
    assert b"".join(got) == b"one"
    watched.call(b"\xff" * 100)  # type: ignore[operator]
    assert got[-1] == b""


async def test_the_goodbye_tells_the_peer_that_nothing_was_cut_off(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    client = trio.SSLStream(theirs, contexts[1], server_hostname="rooms.test")  # raises at a cut
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.shake_hands)
        nursery.start_soon(client.do_handshake)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.finish)
        assert await client.receive_some() == b""
        await theirs.aclose()


async def test_as_a_stream_it_gives_no_more_than_was_asked_for(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    client = await connect(link, theirs, contexts[1])
    stream = LinkStream(link)
    await client.send_all(b"abcdef")
    assert [await stream.receive_some(4), await stream.receive_some(4)] == [b"abcd", b"ef"]
    await stream.send_all(bytearray(b"answer"))
    assert await receive_exactly(client, 6) == b"answer"
    await stream.aclose()
    assert await client.receive_some() == b""


async def test_all_that_was_read_is_given_at_once(contexts: Contexts) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = TlsLink(StreamLink(ours), contexts[0])
    client = await connect(link, theirs, contexts[1])
    await client.send_all(b"one record ")
    await client.send_all(b"and another")
    assert await link.receive_some() == b"one record and another"
