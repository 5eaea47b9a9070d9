"""Clients that send more than anybody should: each is cut off, and the others are served."""

from __future__ import annotations

import pytest
import trio

from rooms.protocol.frames import CLOSE, CONTINUATION, PING, PONG
from rooms.testing import Closed, TestClient, client_close, client_frame
from tests.server.hostile.ground import Ground, ground

RATE = 200
MANY = 4_000
"""More than twice the burst of that rate, and what is earned meanwhile."""

FRAGMENT = client_frame("x", CONTINUATION, fin=False)


def joins(count: int) -> bytes:
    """Commands that join so many rooms."""
    return b"".join(client_frame(f'{{"type":"join","room":"r{n}"}}') for n in range(count))


FLOODS = {
    "messages": (3013, "too many messages", client_frame('{"type":"ping"}') * MANY),
    "pings": (3013, "too many messages", client_frame("", PING) * MANY),
    "pongs": (3013, "too many messages", client_frame("", PONG) * MANY),
    "joins": (3509, "too many errors", joins(1_500)),
    "fragments": (1009, "too many fragments", client_frame("", fin=False) + FRAGMENT * MANY),
    "mistakes": (3509, "too many errors", client_frame("?") * MANY),
}


def event(size: int) -> bytes:
    """An event of about so many bytes."""
    return client_frame('{"type":"event","event":"say","payload":"%s"}' % ("x" * size))


async def flood(client: TestClient, data: bytes) -> Closed:
    """Send all of ``data`` whatever the server says; return how it said goodbye."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_raw, data)
        while (frame := await client.frame()).opcode != CLOSE:
            pass
    await client.send_raw(client_close(frame.code))
    assert await client.stream.receive_some() == b""
    return Closed(frame.code, frame.payload[2:].decode())


async def talk(client: TestClient) -> None:
    """Have ten messages published, and hear every one of them."""
    for number in range(10):
        assert "position" in await client.event("say", "lobby", {"text": str(number)})
    said = [event["payload"]["text"] for event in client.kept_events()]
    assert said == [str(number) for number in range(10)]


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_cut_off_and_the_others_are_served(kind: str) -> None:
    code, reason, data = FLOODS[kind]
    async with ground(rate_messages=RATE) as place:
        flooding, other = await place.connect(), await place.connect()
        assert (await other.join("lobby"))["count"] == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, other)
            closed = await flood(flooding, data)
        assert (closed.code, closed.reason) == (code, reason)
        assert await place.gone(flooding) == code
        assert place.app.room_names == ["lobby"]
    assert counted(place, "disconnects", str(code)) == 1


async def test_bytes_without_end_are_cut_off() -> None:
    async with ground(rate_bytes=100_000) as place:
        closed = await flood(await place.connect(), event(60_000) * 30)
        assert (closed.code, closed.reason) == (3013, "too many bytes")
        assert counted(place, "rate_limited", "bytes") > 0


def counted(place: Ground, name: str, *labels: str) -> int:
    """Return what the server has counted."""
    return place.server.node.counters.get(name, *labels)


# Requests.

BEGIN = b"GET /ws HTTP/1.1\r\nHost: rooms.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
HANDSHAKE = BEGIN + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
REQUESTS = {
    "10,000 headers": b"A: b\r\n" * 10_000,
    "129 headers": b"A:\r\n" * 124,
    "a header of 1 MB": b"Sec-WebSocket-Protocol: " + b"rooms.v1.json, " * 70_000 + b"\r\n",
    "33 subprotocols": b"Sec-WebSocket-Protocol: " + b"a, " * 33 + b"\r\n",
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_with_too_much_in_its_head_is_refused(kind: str) -> None:
    async with ground() as place:
        answer = await place.ask(HANDSHAKE + REQUESTS[kind] + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431 ")


async def test_as_many_headers_as_there_may_be_are_taken() -> None:
    async with ground(headers_per_request=6) as place:
        client = await place.connect(headers="A: b\r\n")
        assert (await client.request(type="ping"))["type"] == "pong"
        assert (await place.ask(HANDSHAKE + b"A: b\r\n" * 2 + b"\r\n")).startswith(b"HTTP/1.1 431 ")
