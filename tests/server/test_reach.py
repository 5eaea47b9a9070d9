"""What is done on one node reaches the clients of all."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rooms.errors import NameTaken
from rooms.protocol.bus import ShowNode
from rooms.server.asking import ANSWER_SECONDS
from tests.brokers.board import Board
from tests.server.cluster import opened, settled


@pytest.fixture
def board() -> Board:
    return Board()


async def test_an_event_is_sent_to_clients_of_any_node(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as members:
        clients = [await member.enter(room="") for member in members]
        ids = [client.id for client in clients]
        asked = [ids[0], *ids, "c99", f"c99-{members[1].cluster.id}", "c1-nowhere"]
        assert await members[0].app.send_to(asked, "hi", {"n": 1.5}) == 3
        for client in clients:
            assert await client.receive_event("hi") == {"n": 1.5}
            assert (await client.request(type="ping"))["type"] == "pong"
            assert client.kept_events() == []


async def test_a_broadcast_reaches_the_clients_of_all_nodes_once(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as members:
        clients = [await member.enter(room="") for member in members]
        await members[1].app.broadcast("news", [1])
        for client in clients:
            assert await client.receive_event("news") == [1]
            assert (await client.request(type="ping"))["type"] == "pong"
            assert client.kept_events() == []


async def test_a_client_of_another_node_is_disconnected(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        client, other = await b.enter(), await b.enter()
        assert await a.app.disconnect(client.id, 4001, "bye") is True
        closed = await client.closing()
        assert (closed.code, closed.reason) == (4001, "bye")
        assert (await other.request(type="ping"))["type"] == "pong"
        await client.stream.aclose()
        await settled()
        assert await a.app.disconnect(client.id) is False
        assert await a.app.disconnect("c99") is False
        with pytest.raises(ValueError, match="1006"):
            await a.app.disconnect(other.id, 1006)


async def test_a_user_is_logged_out_on_all_nodes(autojump_clock: object, board: Board) -> None:
    async with opened(3, board) as (a, b, c):
        anas = [await member.enter("Ana") for member in (a, b)]
        ben = await c.enter("Ben")
        assert b.app.logout("Ana") == 1
        for ana in anas:
            assert (await ana.closing()).code == 3503
        assert (await ben.request(type="ping"))["type"] == "pong"


async def test_a_user_is_revoked_on_all_nodes_though_one_is_away_for_a_moment(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        ana = await b.enter("Ana")
        b.peers.deaf = True
        assert a.app.revoke(user="Ana") == 0
        await trio.sleep(ANSWER_SECONDS + 1)
        b.peers.deaf = False
        assert (await ana.closing()).code == 3500
        assert a.server.node.counters.get("unanswered_questions") == 2


async def test_what_cannot_be_said_to_others_is_refused_and_harms_nobody(
    autojump_clock: object, board: Board
) -> None:
    half = "\ud800"  # which `json.loads` takes from whoever sends it
    async with opened(2, board) as (a, b):
        ana = await b.enter("Ana")
        for refused in (a.app.logout, a.app.recheck):
            with pytest.raises(ValueError, match="surrogates"):
                refused(half)
        with pytest.raises(ValueError, match="surrogates"):
            a.app.revoke(user=half)
        with pytest.raises(ValueError, match="surrogates"):
            a.app.revoke(token_id=half)
        await settled()
        assert a.app.logout("Ana") == 0
        assert (await ana.closing()).code == 3503


async def test_a_node_that_does_not_answer_is_named_after_two_seconds(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        client = await b.enter(room="")
        b.peers.deaf = True
        started = trio.current_time()
        answers = await a.cluster.ask(ShowNode())
        assert (list(answers.contents), answers.silent) == ([c.cluster.id], [b.cluster.id])
        assert trio.current_time() - started == pytest.approx(ANSWER_SECONDS)
        assert await a.app.send_to([client.id], "hi") == 0
        assert await a.app.disconnect(client.id) is None


async def test_a_node_without_a_way_to_the_others_gets_no_answer(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        a.peers.cut = True
        answers = await a.cluster.ask(ShowNode())
        assert (answers.contents, answers.silent) == ({}, [b.cluster.id])


# Presence of rooms that are not open here.


async def test_who_is_in_a_room_of_other_nodes_can_be_fetched(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        await a.enter("Ana")
        await b.enter("Ben")
        await settled()
        room = c.app.room("lobby")
        assert (room.count, room.presence()) == (0, {})
        assert await room.fetch_count() == 2
        assert list(await room.fetch_presence()) == ["Ana", "Ben"]
        assert list(await room.fetch_presence(limit=1, after="Ana")) == ["Ben"]
        assert c.app.room_names == []
        assert await a.app.room("nowhere").fetch_count() == 0


# Guests' names.


async def sign_in(member: object, name: str, secret: str) -> str:
    """Sign in as a guest and return the user's id, or the error's code."""
    client = await member.server.connect()  # type: ignore[attr-defined]
    reply = await client.request(type="auth", name=name, secret=secret)
    return str(reply["user"]["id"] if reply["type"] == "reply" else reply["code"])


async def test_a_name_that_is_held_on_one_node_is_taken_on_all(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        client = await a.enter("Ana")
        assert await sign_in(b, "ANA", "other") == NameTaken.code
        assert await sign_in(b, "ANA", "Ana") == "Ana"
        await client.close()
        await settled()
        assert await sign_in(a, "Ana", "other") == NameTaken.code


async def test_a_name_is_free_when_nobody_on_any_node_has_it(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        client = await a.enter("Ana", room="")
        await client.close()
        await settled()
        assert await sign_in(b, "ana", "other") == "ana"


async def test_the_names_of_a_node_that_is_gone_are_free(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        ana = await a.enter("Ana")
        a.peers.cut = True
        await trio.sleep(15)
        assert await sign_in(b, "Ana", "other") == "Ana"
        a.peers.cut = False
        assert (await ana.closing()).code == 3000


async def test_a_name_that_cannot_be_claimed_for_the_moment_stays_free(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        a.peers.cut = True
        assert await sign_in(a, "Ana", "s") == "unavailable"
        a.peers.cut = False
        await wait_all_tasks_blocked()
        assert await sign_in(b, "Ana", "other") == "Ana"


async def test_a_name_is_kept_longer_than_a_claim_lasts(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        await a.enter("Ana")
        board.claims.clear()
        await trio.sleep(120)
        assert await sign_in(b, "Ana", "other") == NameTaken.code
