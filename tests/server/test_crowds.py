"""A server that more want to get into than it lets in, over real sockets."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any, cast

import pytest
import trio

from rooms import App, Settings
from rooms.chat import chat_app
from rooms.server import admission
from rooms.server.lag import Lag
from rooms.serving import Server, serve
from rooms.testing import Refused, TestClient
from rooms.testing.client import REQUEST

SECONDS = 20
PROXIED = {"trusted_proxies": ("127.0.0.0/8",)}
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: rooms.test\r\nConnection: close\r\n\r\n"
READY = HEALTH.replace(b"health", b"ready")


class Busy:
    """A lag as of a server that has far too much to do."""

    seconds = 5.0


async def knock(server: Server) -> TestClient:
    """Return a client that has a connection and has said nothing."""
    return TestClient(await trio.open_tcp_stream("127.0.0.1", server.port))


async def connect(server: Server, headers: str = "") -> TestClient:
    """Return a client that has been greeted."""
    client = await knock(server)
    await client.handshake(headers=headers)
    await client.welcome()
    return client


async def refused(server: Server, headers: str = "") -> tuple[int, int]:
    """Return the status that a client is refused with, and when it may come back."""
    client = await knock(server)
    with pytest.raises(Refused) as caught:
        await client.handshake(headers=headers)
    await client.stream.aclose()
    _, _, after = caught.value.answer.partition(b"\r\nRetry-After: ")
    return caught.value.status, int(after.split(b"\r\n")[0])


async def ask(server: Server, request: bytes) -> bytes:
    """Return the answer to a request."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(request)
        return b"".join([bytes(part) async for part in stream])


def count(server: Server, reason: str) -> int:
    """Return how many were refused for a reason."""
    return server.node.counters.get("refusals", reason)


async def check_alive(*clients: TestClient) -> None:
    """Have clients answered who are in already."""
    for client in clients:
        assert (await client.request(type="ping"))["type"] == "pong"


@pytest.mark.parametrize("lingering", [0, 128])
async def test_a_full_server_says_so_and_keeps_those_it_has(
    lingering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LINGERING", lingering)
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0, connections=2)) as server:
            first, second = await connect(server), await connect(server)
            status, retry_after = await refused(server)
            assert (status, retry_after > 0) == (503, True)
            answer = await ask(server, HEALTH)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: " in answer
            await check_alive(first, second)
            assert count(server, "connections") == 2
            await first.close()
            while server.node.admission.connections > 1:
                await trio.lowlevel.checkpoint()
            third = await connect(server)
            await check_alive(second, third)
            for client in (second, third):
                await client.close()


async def test_an_address_that_has_all_it_may_have_is_told_so() -> None:
    settings = Settings(port=0, http=False, connections_per_address=1, **cast(Any, PROXIED))
    with trio.fail_after(SECONDS):
        async with serve(App(), settings) as server:
            first = await connect(server, "X-Forwarded-For: 203.0.113.7\r\n")
            status, retry_after = await refused(server, "X-Forwarded-For: 203.0.113.7\r\n")
            assert (status, retry_after > 0) == (429, True)
            other = await connect(server, "X-Forwarded-For: 203.0.113.8\r\n")
            await check_alive(first, other)
            assert count(server, "connections_per_address") == 1
            for client in (first, other):
                await client.close()


async def test_an_address_that_comes_too_often_is_told_when_to_come_again() -> None:
    settings = Settings(port=0, http=False, handshakes_per_address=0.01, **cast(Any, PROXIED))
    with trio.fail_after(SECONDS):
        async with serve(App(), settings) as server:
            first = await connect(server, "X-Forwarded-For: 203.0.113.7\r\n")
            await first.close()
            status, retry_after = await refused(server, "X-Forwarded-For: 203.0.113.7\r\n")
            assert status == 429
            assert 90 <= retry_after <= 100
            assert count(server, "handshakes_per_address") == 1


async def test_whoever_says_nothing_makes_way_for_the_next() -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0, pending_handshakes=2, http=False)) as server:
            silent = [await knock(server) for _ in range(3)]
            answer = await silent[0].stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: " in answer
            client = await connect(server)
            await check_alive(client)
            assert count(server, "pending_handshakes") == 2
            await client.close()
            for each in silent:
                await each.stream.aclose()


async def test_a_busy_server_lets_no_more_in_and_keeps_those_it_has() -> None:
    with trio.fail_after(SECONDS):
        async with serve(App(), Settings(port=0)) as server:
            client = await connect(server)
            lag, server.node.lag = server.node.lag, cast(Lag, Busy())
            status, retry_after = await refused(server)
            assert (status, retry_after > 0) == (503, True)
            assert (await ask(server, READY)).startswith(b"HTTP/1.1 503 ")
            assert (await ask(server, HEALTH)).startswith(b"HTTP/1.1 200 ")
            await check_alive(client)
            assert count(server, "overload") == 1
            server.node.lag = lag
            assert (await ask(server, READY)).startswith(b"HTTP/1.1 200 ")
            await (await connect(server)).close()
            await client.close()


class Storm:
    """Clients that all come at once, and what became of them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.outcomes: Counter[int] = Counter()
        self.clients: list[TestClient] = []

    async def come(self, request: bytes) -> None:
        """Connect, ask, and note the status of the answer; 0 is none."""
        client = await knock(self._server)
        self.clients.append(client)
        await client.send_raw(request)
        answer = b""
        with contextlib.suppress(trio.BrokenResourceError):
            answer = bytes(await client.stream.receive_some())
        self.outcomes[int(answer[9:12] or 0)] += 1


async def chat(clients: list[TestClient]) -> None:
    """Have everybody say something, and everybody hear all of it in the same order."""
    for client in clients:
        await client.send(type="event", event="say", room="lobby", payload=client.id)
    heard = [[await client.receive_event("say") for _ in clients] for client in clients]
    assert all(each == heard[0] for each in heard)
    assert sorted(heard[0]) == sorted(client.id for client in clients)


async def test_a_storm_is_served_or_refused_while_others_chat() -> None:
    limits = Settings(port=0, http=False, connections=250, pending_handshakes=100)
    whole = REQUEST.format(path="/ws", headers="").encode()
    with trio.fail_after(SECONDS):
        async with serve(chat_app(), limits) as server:
            chatting = [await connect(server) for _ in range(10)]
            for client in chatting:
                await client.request(type="auth", name=client.id, secret=client.id)
                await client.join("lobby")
            storm = Storm(server)
            try:
                async with trio.open_nursery() as nursery:
                    for number in range(400):
                        nursery.start_soon(storm.come, whole[:40] if number % 4 == 0 else whole)
                    await chat(chatting)
                    while sum(storm.outcomes.values()) < 300:  # 100 may still say nothing
                        await trio.lowlevel.checkpoint()
                    await chat(chatting)
                    nursery.cancel_scope.cancel()
            finally:
                for client in [*storm.clients, *chatting]:
                    await trio.aclose_forcefully(client.stream)
            assert set(storm.outcomes) == {101, 503}
            assert storm.outcomes[503] >= 150
            await server.node.idle()
            while server.node.admission.connections:
                await trio.lowlevel.checkpoint()
