"""Requests that no honest client makes."""

from __future__ import annotations

import ssl

import pytest
import trio

from rooms.protocol.http import END_OF_HEAD
from rooms.testing import Refused, TestClient, client_frame
from rooms.testing.client import REQUEST
from tests.server.hostile.ground import closed_by, ground, read_all

UPGRADE = REQUEST.format(path="/ws", headers="").encode()
JOIN = client_frame('{"type":"join","room":"lobby","id":1}')


async def test_the_first_byte_of_a_frame_may_come_with_the_request() -> None:
    async with ground() as place:
        client = await place.connect(extra=JOIN[:1])
        await client.send_raw(JOIN[1:])
        assert (await client.receive_type("reply"))["room"] == "lobby"


async def test_whole_frames_may_come_with_the_request() -> None:
    async with ground() as place:
        client = await place.connect(extra=JOIN + client_frame('{"type":"ping","id":2}'))
        assert (await client.receive_type("reply"))["room"] == "lobby"
        assert (await client.receive_type("pong"))["id"] == 2


async def test_an_extra_byte_that_begins_no_frame_is_a_violation() -> None:
    async with ground() as place:
        client = await place.connect(extra=b"x")
        await client.send_raw(b"y")
        assert (await closed_by(client)).code == 1002


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_an_upgrade_with_a_body_is_refused(body: bytes) -> None:
    async with ground() as place:
        answer = await place.ask(UPGRADE[:-2] + body)
        assert answer.startswith(b"HTTP/1.1 400 ")


async def test_compression_with_parameters_out_of_range_is_declined() -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x\r\n"
    async with ground() as place:
        client = TestClient(await place.open_stream())
        answer = await client.handshake(headers=offer)
        assert "extensions" not in answer.lower()
        await client.welcome()
        assert (await client.join("lobby"))["count"] == 1


@pytest.mark.parametrize(
    ("line", "wrong", "status"),
    [
        (b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Version: 12\r\n", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
        (b"Host: rooms.test\r\n", b"", 400),
        (b"GET ", b"POST ", 400),
        (b"Connection: keep-alive, Upgrade\r\n", b"", 400),
        (b"/ws ", b"/elsewhere ", 404),
        (b"/ws ", b"/ ", 404),
    ],
)
async def test_a_handshake_that_is_wrong_is_refused(line: bytes, wrong: bytes, status: int) -> None:
    async with ground() as place:
        answer = await place.ask(UPGRADE.replace(line, wrong))
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


async def test_a_page_from_elsewhere_may_not_open_a_websocket() -> None:
    async with ground() as place:
        client = TestClient(await place.open_stream())
        with pytest.raises(Refused, match="403"):
            await client.handshake(headers="Origin: https://evil.example\r\n")


async def test_half_a_head_byte_by_byte_ends_at_the_deadline() -> None:
    async with ground(head_seconds=0.3) as place:
        stream = await place.open_stream()
        await stream.send_all(UPGRADE[:-2])
        answer: bytes | bytearray = b""
        while not answer:
            await stream.send_all(b"a")
            with trio.move_on_after(0.02):
                answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_hundred_half_heads_keep_nobody_out() -> None:
    async with ground(head_seconds=1) as place:
        streams = [await place.open_stream() for _ in range(100)]
        for stream in streams:
            await stream.send_all(UPGRADE[:30])
        await place.check_still_serving()
        for stream in streams:
            assert (await read_all(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_says_nothing_at_all_is_sent_away() -> None:
    async with ground(head_seconds=0.1) as place:
        assert (await place.ask(b"")).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("end", [b"", END_OF_HEAD])
async def test_a_head_of_forty_kib_is_refused(end: bytes) -> None:
    async with ground() as place:
        answer = await place.ask(UPGRADE[:-2] + b"X-Long: " + b"x" * 40960 + end)
        assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 1000, b"\xff\xfe\xfd", b"hello?\r\n\r\n", b"\r\n\r\n", bytes(range(256)) * 64],
)
async def test_garbage_is_cut_off_without_an_answer(garbage: bytes) -> None:
    async with ground() as place:
        assert await place.ask(garbage) == b""


@pytest.mark.parametrize(
    "head",
    [b"GET /", b"GET / HTTP/3.0", b"GET  / HTTP/1.1", b"GET / HTTP/1.1\r\nno colon", b"A" * 30],
)
async def test_a_head_that_is_none_is_answered_with_400(head: bytes) -> None:
    async with ground() as place:
        assert (await place.ask(head + END_OF_HEAD)).startswith(b"HTTP/1.1 400 ")


async def test_tls_on_the_clear_port_is_cut_off() -> None:
    async with ground() as place:
        tls = trio.SSLStream(await place.open_stream(), ssl.create_default_context())
        with pytest.raises(trio.BrokenResourceError):
            await tls.do_handshake()


async def test_http_2_with_prior_knowledge_is_refused() -> None:
    async with ground() as place:
        answer = await place.ask(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + bytes(5)
        )
        assert answer.startswith(b"HTTP/1.1 505 ")


async def test_an_offer_of_http_2_is_ignored() -> None:
    offer = (
        b"GET /api/health HTTP/1.1\r\n"
        b"Host: rooms.test\r\n"
        b"Connection: close, Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    async with ground() as place:
        answer = await place.ask(offer)
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_upgrade_as_a_second_request_is_no_websocket() -> None:
    async with ground() as place:
        first = b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\n\r\n"
        last = UPGRADE.replace(b"keep-alive", b"close")
        answer = await place.ask(first + last)
        assert answer.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 404 " in answer
