"""What a connection may do, and how fast: each limit by what its client is told."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import App, Settings
from rooms.chat import chat_app
from rooms.protocol.frames import BINARY, CONTINUATION, PING, PONG
from rooms.testing import Closed, TestClient, client_frame, in_memory
from rooms.testing.memory import MemoryServer
from tests.server.slow_broker import SlowBroker

PING_COMMAND = client_frame('{"type":"ping"}')


def counting_app() -> tuple[App, list[Any]]:
    """An application with one event, and the payloads that it was given."""
    app, done = App(), []

    @app.on("do")
    def do(ctx: Any) -> None:
        done.append(ctx.payload)

    return app, done


async def do(client: TestClient, number: int) -> dict[str, Any]:
    return await client.request(type="event", event="do", payload=number)


async def all_answers(client: TestClient, count: int) -> list[dict[str, Any]]:
    return [await client.receive() for _ in range(count)]


async def ended(server: MemoryServer, client: TestClient) -> dict[str, int]:
    """Have ``client`` go; return how often each close code was counted."""
    await client.stream.aclose()
    await wait_all_tasks_blocked()
    counted = (count for count in server.node.counters if count[0] == "disconnects")
    return {code: count for _, (code,), count in counted}


# Messages.


async def test_a_message_too_many_is_refused_and_not_done(autojump_clock: MockClock) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_messages=2, rate_burst_seconds=2)) as server:
        client = await server.connect()
        for number in range(4):
            assert (await do(client, number))["type"] == "reply"
        refused = await do(client, 4)
        assert refused == {
            "type": "error",
            "id": 5,
            "code": "rate_limited",
            "message": "A client may send 2 messages a second; wait 1.001 s.",
            "retry_after": 1.001,
        }
        assert done == [0, 1, 2, 3]
        assert server.node.counters.get("rate_limited", "messages") == 1
        assert server.node.counters.get("request_errors", "rate_limited") == 1


async def test_who_waits_as_long_as_told_is_served_again(autojump_clock: MockClock) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_messages=2, rate_burst_seconds=2)) as server:
        client = await server.connect()
        answers = [await do(client, number) for number in range(6)]
        await trio.sleep(answers[-1]["retry_after"])
        assert (await do(client, 6))["type"] == "reply"
        assert done == [0, 1, 2, 3, 6]


async def test_who_stays_below_the_rate_is_never_refused(autojump_clock: MockClock) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_messages=10, rate_burst_seconds=1)) as server:
        client = await server.connect()
        for number in range(100):
            assert (await do(client, number))["type"] == "reply"
            await trio.sleep(0.1)
        assert len(done) == 100


async def test_the_others_may_send_while_one_may_not(autojump_clock: MockClock) -> None:
    async with in_memory(chat_app(), Settings(rate_messages=4, rate_burst_seconds=1)) as server:
        hasty, other = await server.connect(), await server.connect()
        for client in (hasty, other):
            await client.join("lobby")
        await hasty.send_raw(PING_COMMAND * 3)
        assert (await hasty.event("say", "lobby", {"text": "no"}))["code"] == "rate_limited"
        assert "position" in await other.event("say", "lobby", {"text": "yes"})
        assert await hasty.receive_event("say") == {"text": "yes"}
        assert [event["payload"] for event in other.kept_events()] == [{"text": "yes"}]


async def test_who_goes_on_is_cut_off(autojump_clock: MockClock) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_messages=5, rate_burst_seconds=2)) as server:
        client = await server.connect()
        await client.send_raw(client_frame('{"type":"event","event":"do"}') * 30)
        refusals = await all_answers(client, 10)
        assert {refusal["code"] for refusal in refusals} == {"rate_limited"}
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3013, "too many messages")
        assert len(done) == 10
        assert await ended(server, client) == {"3013": 1}
        assert server.node.counters.get("rate_limited", "messages") == 11


async def test_to_be_too_fast_is_no_mistake(autojump_clock: MockClock) -> None:
    settings = Settings(rate_messages=5, rate_burst_seconds=2, errors_in_a_row=3)
    async with in_memory(App(), settings) as server:
        client = await server.connect()
        await client.send_raw(PING_COMMAND * 20)
        codes = [answer.get("code") for answer in await all_answers(client, 20)]
        assert codes == [None] * 10 + ["rate_limited"] * 10


OTHER_FRAMES = {
    "pings": client_frame("", PING),
    "pongs": client_frame("", PONG),
    "fragments": client_frame("", CONTINUATION, fin=False),
}


@pytest.mark.parametrize("kind", OTHER_FRAMES)
async def test_every_frame_counts_as_a_message_does(kind: str, autojump_clock: MockClock) -> None:
    async with in_memory(App(), Settings(rate_messages=5, rate_burst_seconds=2)) as server:
        client = await server.connect()
        first = client_frame("", fin=False) if kind == "fragments" else b""
        await client.send_raw(first + OTHER_FRAMES[kind] * 21)
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3013, "too many messages")
        assert server.node.counters.get("rate_limited", "messages") == 1


async def test_messages_wait_for_pings_that_were_too_many(autojump_clock: MockClock) -> None:
    async with in_memory(App(), Settings(rate_messages=5, rate_burst_seconds=2)) as server:
        client = await server.connect()
        await client.send_raw(client_frame("", PING) * 14)
        await wait_all_tasks_blocked()
        refused = await client.request(type="ping")
        assert (refused["code"], refused["retry_after"]) == ("rate_limited", 1.201)
        await trio.sleep(1.201)
        assert (await client.request(type="ping"))["type"] == "pong"


async def test_frames_that_are_no_commands_count_too(autojump_clock: MockClock) -> None:
    settings = Settings(rate_messages=5, rate_burst_seconds=2, errors_in_a_row=100)
    async with in_memory(App(), settings) as server:
        client = await server.connect()
        await client.send_raw(client_frame("{}", BINARY) * 10)
        await all_answers(client, 10)
        assert (await client.request(type="ping"))["code"] == "rate_limited"


async def test_a_message_in_fragments_is_refused_like_a_whole_one(
    autojump_clock: MockClock,
) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_messages=4, rate_burst_seconds=1)) as server:
        client = await server.connect()
        await client.send_raw(PING_COMMAND * 3)
        await all_answers(client, 3)
        await client.send_raw(client_frame('{"type":"event","event":"do",', fin=False))
        await client.send_raw(client_frame('"id":9}', CONTINUATION))
        refused = await client.receive()
        assert (refused["id"], refused["code"], done) == (9, "rate_limited", [])


async def test_a_rate_of_nothing_sets_no_limit(autojump_clock: MockClock) -> None:
    settings = Settings(rate_messages=0, rate_bytes=0, rate_joins=0)
    async with in_memory(App(), settings) as server:
        client = await server.connect()
        for _ in range(10):
            await client.send_raw(PING_COMMAND * 1000)
            answers = await all_answers(client, 1000)
            assert {answer["type"] for answer in answers} == {"pong"}


# Bytes.


def of_size(size: int, number: int) -> bytes:
    """An event of about as many bytes."""
    fields = '{"type":"event","event":"do","id":%d,"payload":"%s"}'
    return client_frame(fields % (number, "x" * size))


async def test_bytes_too_many_are_refused_and_not_done(autojump_clock: MockClock) -> None:
    app, done = counting_app()
    settings = Settings(rate_bytes=1000, rate_burst_seconds=4, message_bytes=2000)
    async with in_memory(app, settings) as server:
        client = await server.connect()
        for number in range(2):
            await client.send_raw(of_size(1500, number))
            assert (await client.receive())["type"] == "reply"
        await client.send_raw(of_size(1500, 2))
        refused = await client.receive()
        assert (refused["id"], refused["code"]) == (2, "rate_limited")
        assert refused["message"].startswith("A client may send 1000 bytes a second; wait ")
        assert len(done) == 2
        assert server.node.counters.get("rate_limited", "bytes") == 1
        await trio.sleep(refused["retry_after"])
        await client.send_raw(of_size(1500, 3))
        assert (await client.receive())["type"] == "reply"


async def test_a_message_of_any_size_that_is_let_in_gets_through(
    autojump_clock: MockClock,
) -> None:
    app, done = counting_app()
    async with in_memory(app, Settings(rate_bytes=1, message_bytes=10_000)) as server:
        client = await server.connect()
        await client.send_raw(of_size(9_900, 1))
        assert (await client.receive())["type"] == "reply"
        assert len(done) == 1


async def test_who_goes_on_sending_bytes_is_cut_off_before_a_message_is_whole(
    autojump_clock: MockClock,
) -> None:
    settings = Settings(rate_bytes=1000, rate_burst_seconds=1, message_bytes=1000)
    async with in_memory(App(), settings) as server:
        client = await server.connect()
        await client.send_raw(client_frame(b"x" * 900, fin=False))
        await client.send_raw(client_frame(b"x" * 100, PONG) * 60)
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3013, "too many bytes")
        assert server.node.counters.get("rate_limited", "bytes") == 1


# Joins.


async def test_a_join_too_many_is_refused_and_not_done(autojump_clock: MockClock) -> None:
    async with in_memory(App(), Settings(rate_joins=2, rate_burst_seconds=1)) as server:
        client = await server.connect()
        assert [(await client.join(name))["type"] for name in "ab"] == ["reply", "reply"]
        refused = await client.join("c")
        assert (refused["code"], refused["retry_after"]) == ("rate_limited", 1.001)
        assert server.node.clients[client.id].rooms == ["a", "b"]
        assert server.node.counters.get("rate_limited", "joins") == 1
        assert (await client.request(type="ping"))["type"] == "pong"
        await trio.sleep(refused["retry_after"])
        assert (await client.join("c"))["type"] == "reply"


async def test_who_goes_on_joining_is_cut_off(autojump_clock: MockClock) -> None:
    async with in_memory(App(), Settings(rate_joins=2, rate_burst_seconds=2)) as server:
        client = await server.connect()
        for number in range(20):
            await client.send(type="join", room=f"r{number}")
        closed = await client.closing()
        assert (closed.code, closed.reason) == (3013, "too many joins")


async def test_a_join_that_waits_for_the_broker_counts_once(autojump_clock: MockClock) -> None:
    settings = Settings(rate_joins=2, rate_burst_seconds=1)
    async with in_memory(App(), settings, SlowBroker()) as server:
        client = await server.connect()
        codes = [(await client.join(name)).get("code") for name in "abc"]
        assert codes == [None, None, "rate_limited"]


async def test_what_the_application_joins_is_not_limited(autojump_clock: MockClock) -> None:
    async with in_memory(App(), Settings(rate_joins=1, rate_burst_seconds=1)) as server:
        client = await server.connect()
        for number in range(20):
            await server.node.clients[client.id].join(f"r{number}")
        assert len(server.node.clients[client.id].rooms) == 20


# Fragments.


def in_fragments(count: int) -> bytes:
    """A valid command in so many fragments."""
    parts = [b'{"type":"ping","id":1}', *[b" "] * (count - 1)]
    frames = [
        client_frame(part, CONTINUATION if place else 1, fin=place == count - 1)
        for place, part in enumerate(parts)
    ]
    return b"".join(frames)


async def test_a_message_may_come_in_so_many_fragments() -> None:
    async with in_memory(App(), Settings(fragments_per_message=10)) as server:
        client = await server.connect()
        for _ in range(3):
            await client.send_raw(in_fragments(10))
            assert (await client.receive())["type"] == "pong"


async def test_a_fragment_too_many_ends_the_connection() -> None:
    async with in_memory(App(), Settings(fragments_per_message=10)) as server:
        client, other = await server.connect(), await server.connect()
        await client.send_raw(in_fragments(11))
        closed = await client.closing()
        assert (closed.code, closed.reason) == (1009, "too many fragments")
        assert await ended(server, client) == {"1009": 1}
        assert (await other.request(type="ping"))["type"] == "pong"


async def test_fragments_that_are_too_big_only_as_bytes_end_the_connection_as_well() -> None:
    async with in_memory(App(), Settings(message_bytes=10)) as server:
        client = await server.connect()
        await client.send_raw(client_frame("éééé", fin=False) + client_frame("éé", CONTINUATION))
        closed = await client.closing()
        assert (closed.code, closed.reason) == (1009, "message too big")
        assert await ended(server, client) == {"1009": 1}


# Connections of one user.


async def sign_in(client: TestClient, name: str, secret: str = "s") -> dict[str, Any]:
    return await client.request(type="auth", name=name, secret=secret)


async def test_a_user_may_have_so_many_connections() -> None:
    async with in_memory(chat_app(), Settings(connections_per_user=2)) as server:
        clients = [await server.connect() for _ in range(4)]
        for client in clients[:2]:
            assert (await sign_in(client, "Ana"))["user"]["id"] == "Ana"
        with pytest.raises(Closed) as closed:
            await sign_in(clients[2], "ana")
        assert closed.value.code == 3504
        assert closed.value.reason == "a user can have 2 connections; close one first"
        assert await ended(server, clients[2]) == {"3504": 1}
        assert (await sign_in(clients[3], "Bo"))["user"]["id"] == "Bo"
        assert (await clients[0].request(type="ping"))["type"] == "pong"


async def test_a_connection_that_ends_makes_room_for_another() -> None:
    async with in_memory(chat_app(), Settings(connections_per_user=1)) as server:
        for _ in range(3):
            client = await server.connect()
            assert (await sign_in(client, "Ana"))["type"] == "reply"
            await client.close()
            await wait_all_tasks_blocked()


async def test_a_refused_connection_does_not_hold_the_name() -> None:
    async with in_memory(chat_app(), Settings(connections_per_user=1)) as server:
        first, second, third = [await server.connect() for _ in range(3)]
        await sign_in(first, "Ana", "one")
        with pytest.raises(Closed):
            await sign_in(second, "Ana", "one")
        await first.close()
        await wait_all_tasks_blocked()
        assert (await sign_in(third, "Ana", "another"))["type"] == "reply"


async def test_only_who_holds_a_name_learns_that_it_has_too_many_connections() -> None:
    async with in_memory(chat_app(), Settings(connections_per_user=1)) as server:
        first, second = await server.connect(), await server.connect()
        await sign_in(first, "Ana", "one")
        assert (await sign_in(second, "Ana", "another"))["code"] == "name_taken"


async def test_no_limit_of_connections_is_set_by_nothing() -> None:
    async with in_memory(chat_app(), Settings(connections_per_user=0)) as server:
        for _ in range(105):
            assert (await sign_in(await server.connect(), "Ana"))["type"] == "reply"


# Names.


@pytest.mark.parametrize("name", ["cafe\u0301", "\ufb01", "\uff21", "a\0b", "$a", "a" * 256])
async def test_a_room_that_may_not_be_is_not_made(name: str) -> None:
    async with in_memory(chat_app()) as server:
        client = await server.connect()
        assert (await client.join(name))["code"] in ("invalid_name", "reserved_name")
        assert server.node.hub.rooms == {}


async def test_a_name_that_looks_like_another_is_refused_with_the_plain_one() -> None:
    async with in_memory(chat_app()) as server:
        client = await server.connect()
        refused = await client.join("\ufb01sh")
        assert refused["message"] == "In Unicode's plain form (NFKC), write 'fish'."


async def test_two_guests_cannot_have_names_that_look_alike() -> None:
    async with in_memory(chat_app()) as server:
        first, second = await server.connect(), await server.connect()
        assert (await sign_in(first, "\uff21na", "one"))["type"] == "reply"
        assert (await sign_in(second, "Ana", "another"))["code"] == "name_taken"
