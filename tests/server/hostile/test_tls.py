"""The same port with TLS, and who comes to it without."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from rooms.protocol.frames import PING
from rooms.testing import client_frame
from tests.server.hostile.ground import PAGE, Ground, ground

AUTHORITY = trustme.CA()


class TlsGround(Ground):
    """A ground whose clients speak TLS."""

    async def open_stream(self) -> trio.abc.Stream:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        AUTHORITY.configure_trust(trust)
        clear = await self.open_clear()
        return trio.SSLStream(clear, trust, server_hostname="rooms.test", https_compatible=True)


@asynccontextmanager
async def tls_ground(folder: Path, **settings: Any) -> AsyncIterator[Ground]:
    """Serve the chat on a port that speaks TLS; otherwise as `ground`."""
    certificate = folder / "server.pem"
    AUTHORITY.issue_cert("rooms.test").private_key_and_cert_chain_pem.write_to_path(certificate)
    async with ground(kind=TlsGround, certfile=str(certificate), **settings) as place:
        yield place


async def test_pages_and_websockets_share_a_port_with_tls(tmp_path: Path) -> None:
    async with tls_ground(tmp_path) as place:
        assert place.server.url.startswith("https://")
        await place.check_still_serving()


async def test_plain_http_on_the_port_with_tls_is_cut_off(tmp_path: Path) -> None:
    async with tls_ground(tmp_path) as place:
        assert not (await place.ask(PAGE, clear=True)).startswith(b"HTTP/")


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_half_a_tls_handshake_ends_at_the_deadline(tmp_path: Path, hello: bytes) -> None:
    async with tls_ground(tmp_path, head_seconds=0.7) as place:
        await place.ask(hello, clear=True)


async def test_garbage_on_the_port_with_tls_is_cut_off(tmp_path: Path) -> None:
    async with tls_ground(tmp_path) as place:
        assert b"HTTP" not in await place.ask(b"\x00" * 1000, clear=True)


@pytest.mark.parametrize(
    ("code", "frames"),
    [
        (1002, client_frame("{}", masked=False)),
        (1002, client_frame(b"x" * 126, PING)),
        (1007, client_frame(b"\xff")),
        (1009, client_frame(b"x" * 100_000)),
        (1009, client_frame(b"x" * 5_000_000)),
    ],
    ids=["unmasked", "ping over 125 bytes", "not UTF-8", "too big", "much too big"],
)
async def test_a_violation_over_tls_is_told_too(tmp_path: Path, code: int, frames: bytes) -> None:
    async with tls_ground(tmp_path) as place:
        client = await place.connect()
        await client.send_raw(frames)
        assert (await client.closing()).code == code


async def test_tls_that_is_cut_off_in_the_middle_is_a_lost_connection(tmp_path: Path) -> None:
    async with tls_ground(tmp_path) as place:
        client = await place.connect()
        await client.join("lobby")
        await place.close_all()
        assert await place.gone(client) == 1006
