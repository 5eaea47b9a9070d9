"""How a `Gateway`'s connections end when an end dies, in virtual time: the upstream is memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from rooms import App, Gateway, WebSocket
from rooms.config import Settings
from rooms.protocol.frames import BINARY, server_frame
from rooms.server.door import Door
from rooms.server.node import Node
from rooms.testing import Closed, TestClient, client_close, client_frame
from rooms.transports.client import Connected
from rooms.transports.links import StreamLink

SETTINGS = Settings(rate_bytes=0, rate_messages=0)


class NearGateway(Gateway):
    """Has an upstream at the other end of memory streams, that has accepted."""

    def __init__(self) -> None:
        super().__init__("ws://upstream/")
        self.upstream, self._ours = memory_stream_pair()

    async def _connect(self, ws: WebSocket) -> Connected:
        return Connected(StreamLink(self._ours), None, b"")


@asynccontextmanager
async def passed_on() -> AsyncIterator[tuple[Node, trio.abc.Stream, TestClient]]:
    """Connect a client that takes nothing but what it reads to an upstream."""
    app, gateway = App(), NearGateway()
    app.websocket("/here")(gateway)
    async with app.running(SETTINGS) as node, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(Door(node).serve_stream, theirs, "memory")
        client = TestClient(ours)
        await client.handshake("/here")
        yield node, gateway.upstream, client
        nursery.cancel_scope.cancel()


async def gone_after(node: Node) -> float:
    """Return how long it takes until nothing is left of the node's connections."""
    start = trio.current_time()
    await node.idle()
    return trio.current_time() - start


async def everything(client: TestClient) -> tuple[bytes, int]:
    """Return the payloads of all that a client is sent, and the code of the goodbye."""
    received = b""
    while True:
        try:
            received += await client.message()
        except Closed as closed:
            return received, closed.code


async def reads_but_never_answers(client: TestClient) -> None:
    """Take whatever comes."""
    while await client.stream.receive_some():
        pass


@pytest.mark.parametrize("reads", [True, False])
async def test_nothing_is_left_of_an_upstream_that_died_whatever_its_client_does(
    autojump_clock: trio.testing.MockClock, reads: bool
) -> None:
    async with passed_on() as (node, upstream, client), trio.open_nursery() as nursery:
        await upstream.send_all(server_frame(b"x" * 1000, BINARY) * 60)
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(upstream)
        if reads:
            nursery.start_soon(reads_but_never_answers, client)
        assert await gone_after(node) < 5


@pytest.mark.parametrize("waits", [True, False])
async def test_nothing_is_left_of_a_client_that_died_whatever_the_upstream_does(
    autojump_clock: trio.testing.MockClock, waits: bool
) -> None:
    async with passed_on() as (node, upstream, client):
        if waits:
            await upstream.send_all(server_frame(b"x" * 1000, BINARY) * 100)
            await wait_all_tasks_blocked()
        await trio.aclose_forcefully(client.stream)
        assert await gone_after(node) < 5


async def test_nothing_is_left_of_two_ends_of_which_neither_answers_a_goodbye(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with passed_on() as (node, upstream, client):
        await upstream.send_all(server_frame(b"x" * 1000, BINARY) * 100)
        await client.send_raw(client_frame("last") + client_close(4001))
        assert await gone_after(node) < 5


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("size", [10, 60_000])
async def test_what_came_before_an_upstream_died_reaches_a_slow_client(
    autojump_clock: trio.testing.MockClock, size: int, speaks: bool
) -> None:
    sent = [bytes([number]) * size for number in range(60)]
    async with passed_on() as (_, upstream, client):
        for payload in sent:
            await upstream.send_all(server_frame(payload, BINARY))
        await trio.aclose_forcefully(upstream)
        await wait_all_tasks_blocked()
        for question in ("anybody", "there") if speaks else ():
            await client.send_raw(client_frame(question))
            await wait_all_tasks_blocked()
        received, code = await everything(client)
        assert (received == b"".join(sent), code) == (True, 1014)


async def test_a_client_too_slow_for_that_is_told_that_the_upstream_is_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with passed_on() as (_, upstream, client):
        await upstream.send_all(server_frame(b"x" * 1000, BINARY) * 60)
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(upstream)
        await trio.sleep(2)
        assert (await client.closing()).code == 1014
