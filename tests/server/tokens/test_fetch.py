"""`rooms.server.tokens.fetch`: a document from one URL, or the reason why not."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from rooms.errors import ConfigError
from rooms.server.tokens.fetch import (
    FETCH_BYTES,
    FETCH_SECONDS,
    FetchError,
    Location,
    fetch,
    parse_url,
    secured,
)

HERE = parse_url("https://id.example/keys?client=1")
OK = b"HTTP/1.1 200 OK\r\n"

Stream = trio.abc.Stream
Peer = Callable[[Stream], Awaitable[None]]


def answering(*pieces: bytes) -> Peer:
    """Return a server that answers in pieces and closes."""

    async def answer(stream: Stream) -> None:
        await stream.receive_some()
        for piece in pieces:
            await stream.send_all(piece)
        await stream.aclose()

    return answer


async def fetched(peer: Peer) -> bytes:
    """Fetch from a server at the other end of a stream in memory."""
    near, far = trio.testing.memory_stream_pair()

    async def connect_to_peer(location: Location) -> Stream:
        assert location == HERE
        return near

    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer, far)
        try:
            return await fetch(HERE, connect_to_peer)
        finally:
            nursery.cancel_scope.cancel()


async def complaint(peer: Peer) -> str:
    with pytest.RaisesGroup(pytest.RaisesExc(FetchError), flatten_subgroups=True) as caught:
        await fetched(peer)
    (error,) = caught.value.exceptions
    return str(error)


# What is asked.


async def test_it_asks_for_the_url_and_nothing_else() -> None:
    asked = []

    async def note_and_answer(stream: Stream) -> None:
        asked.append(bytes(await stream.receive_some()))
        await stream.send_all(OK + b"Content-Length: 2\r\n\r\n{}")

    assert await fetched(note_and_answer) == b"{}"
    assert asked == [
        b"GET /keys?client=1 HTTP/1.1\r\n"
        b"Host: id.example\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Connection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        OK + b"\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    ],
)
async def test_it_returns_the_body_in_whatever_pieces_it_comes(answer: bytes) -> None:
    assert await fetched(answering(answer)) == b"hello"
    assert await fetched(answering(*(bytes([byte]) for byte in answer))) == b"hello"


# What goes wrong.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    answer = b"HTTP/1.1 %d Go\r\nLocation: https://evil.example/\r\n\r\n" % status
    said = await complaint(answering(answer))
    assert said == f"status {status}: redirects are not followed"


@pytest.mark.parametrize("status", [204, 401, 404, 500])
async def test_only_status_200_counts(status: int) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    assert await complaint(answering(answer)) == f"status {status}"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 9999999\r\n\r\n" + b"x" * FETCH_BYTES,
        OK + b"\r\n" + b"x" * FETCH_BYTES,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (FETCH_BYTES // 20),
    ],
)
async def test_a_huge_answer_is_cut(answer: bytes) -> None:
    assert await complaint(answering(answer)) == "it is larger than 256 KiB"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01garbage\r\n\r\n",
        OK,
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Long: " + b"x" * 20_000,
    ],
)
async def test_what_is_no_http_is_refused(answer: bytes) -> None:
    assert (await complaint(answering(answer))).startswith("the answer is no HTTP: ")


@pytest.mark.parametrize("pieces", [[], [OK], [OK + b"\r\n", *[b"x"] * 3]])
async def test_a_slow_server_is_given_up(
    pieces: list[bytes], autojump_clock: trio.testing.MockClock
) -> None:
    async def drip(stream: Stream) -> None:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(FETCH_SECONDS / 5)
        await trio.sleep_forever()

    before = trio.current_time()
    assert await complaint(drip) == "it took longer than 5 s"
    assert trio.current_time() - before == pytest.approx(FETCH_SECONDS)


async def test_a_server_that_cannot_be_reached_is_told() -> None:
    async def refuse(location: Location) -> Stream:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(FetchError, match="no connection: nobody there"):
        await fetch(HERE, refuse)


async def test_a_connection_that_breaks_is_told() -> None:
    async def broken(location: Location) -> Stream:
        near, far = trio.testing.memory_stream_pair()
        await far.aclose()
        return near

    with pytest.raises(FetchError, match="the connection broke"):
        await fetch(HERE, broken)


async def test_a_private_authority_is_trusted_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = trio.testing.memory_stream_pair()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("id.example").configure_cert(context)
    server = trio.SSLStream(far, context, server_side=True, https_compatible=True)

    async def over_memory(location: Location) -> Stream:
        return secured(near, location)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering(OK + b"\r\nhello"), server)
        assert await fetch(HERE, over_memory) == b"hello"


async def test_the_server_s_certificate_is_checked() -> None:
    near, far = trio.testing.memory_stream_pair()
    authority = trustme.CA()  # one that nobody here trusts
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("id.example").configure_cert(context)

    async def serve() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(far, context, server_side=True).do_handshake()

    async def over_memory(location: Location) -> Stream:
        return secured(near, location)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(HERE, over_memory)


# URLs.


@pytest.mark.parametrize(
    ("url", "location", "shown"),
    [
        ("https://id.example", Location("id.example", 443, "/", True), "https://id.example/"),
        (
            "https://ID.example:8443/a?b=c#d",
            Location("id.example", 8443, "/a?b=c", True),
            "https://id.example:8443/a",
        ),
        ("http://127.0.0.1:80/k", Location("127.0.0.1", 80, "/k", False), "http://127.0.0.1/k"),
        ("http://[::1]:81/k", Location("::1", 81, "/k", False), "http://[::1]:81/k"),
        ("http://localhost/k", Location("localhost", 80, "/k", False), "http://localhost/k"),
    ],
)
def test_a_url_leads_to_a_place(url: str, location: Location, shown: str) -> None:
    assert parse_url(url) == location
    assert location.shown == shown


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://id.example/keys", "not in clear text from id.example"),
        ("http://127.0.0.1.evil.example/", "not in clear text"),
        ("http://10.0.0.1/", "not in clear text"),
        ("https://user:hush@id.example/", "must not hold a password"),
        ("https://127.0.0.1@evil.example/", "must not hold a password"),
        ("file:///etc/passwd", "must be https://HOST/PATH"),
        ("ftp://id.example/", "must be https://HOST/PATH"),
        ("id.example/keys", "must be https://HOST/PATH"),
        ("https:///keys", "must be https://HOST/PATH"),
        ("https://id.example:port/", "is no URL"),
        ("https://[::1/", "is no URL"),
        ("https://id.example/sch\u00f6n", "must be https://HOST/PATH"),
        ("https://id.example/a b", "must be https://HOST/PATH"),
        ("", "must be https://HOST/PATH"),
    ],
)
def test_a_url_that_is_not_safe_is_a_mistake(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse_url(url)
    assert "hush" not in str(caught.value)
