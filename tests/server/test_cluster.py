"""Several nodes know of each other's connections, and notice who is gone."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from rooms import Settings
from rooms.brokers.peers import HOLD_SECONDS, LEASE_SECONDS, RENEW_SECONDS
from rooms.errors import ShuttingDown
from rooms.testing import TestClient
from tests.brokers.board import Board
from tests.server.cluster import Member, everybody, opened, settled, summary, told

GONE_SECONDS = 15
"""After so long nobody is told any more of the clients of a node that was killed."""


@pytest.fixture
def board() -> Board:
    return Board()


async def test_who_joins_is_told_of_the_users_of_all_nodes(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        ana, ben = await a.enter("Ana"), await b.enter("Ben")
        await settled()
        client = await c.server.connect()
        reply = await client.join("lobby")
        assert reply["count"] == 3
        assert reply["presence"] == {
            "Ana": [{"client": ana.id}],
            "Ben": [{"client": ben.id}],
            client.id: [{"client": client.id}],
        }


async def test_ids_of_clients_are_unique_in_the_cluster(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        ids = {(await member.enter(room="")).id for member in (a, b)}
        assert ids == {f"c1-{a.cluster.id}", f"c1-{b.cluster.id}"}


async def test_joined_and_left_are_told_once_a_user_in_the_whole_cluster(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board, presence_grace=0) as (a, b, c):
        watcher = await c.enter("Watcher")
        await told(watcher)
        first = await a.enter("Ana")
        assert summary(await told(watcher)) == [(["Ana"], [], 2)]
        second = await b.enter("Ana")
        assert summary(await told(watcher)) == []
        await first.close()
        assert summary(await told(watcher)) == []
        await second.close()
        assert summary(await told(watcher)) == [([], ["Ana"], 1)]


async def test_details_are_told_on_all_nodes(autojump_clock: object, board: Board) -> None:
    async with opened(2, board) as (a, b):
        watcher, ana = await b.enter("Watcher"), await a.enter("Ana")
        await told(watcher)
        a.app.clients[ana.id].presence = {"status": "away"}
        (change,) = await told(watcher)
        entry = {"client": ana.id, "details": {"status": "away"}}
        assert change["changed"] == {"Ana": [entry]}
        assert b.users()["Ana"] == [entry]


async def test_a_user_who_comes_back_to_another_node_has_not_left(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        watcher, ana = await c.enter("Watcher"), await a.enter("Ana")
        await told(watcher)
        await trio.aclose_forcefully(ana.stream)
        await settled()
        again = await b.enter("Ana")
        await trio.sleep(2 * Settings().presence_grace)
        assert summary(await told(watcher)) == []
        for member in (a, b, c):
            assert await known(member, "Ana") == [{"client": again.id}]


async def known(member: Member, user: str) -> list[dict[str, Any]]:
    """Return the connections of a user in the lobby, as a node tells somebody who joins."""
    await member.enter()
    return list(member.users()[user])


async def test_a_lost_connection_is_kept_for_the_grace_and_left_is_told_once(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        watcher, ana = await b.enter("Watcher"), await a.enter("Ana")
        await told(watcher)
        await trio.aclose_forcefully(ana.stream)
        await trio.sleep(Settings().presence_grace - 1)
        assert summary(await told(watcher)) == []
        await trio.sleep(2)
        assert summary(await told(watcher)) == [([], ["Ana"], 1)]


async def test_a_room_where_only_others_are_is_not_kept_open(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        await a.enter("Ana")
        ben = await b.enter("Ben")
        await settled()
        await ben.request(type="leave", room="lobby")
        assert b.app.room_names == []
        await settled()
        assert a.users().keys() == {"Ana"}
        assert (await ben.join("lobby"))["count"] == 2


# A node that is gone.


async def test_the_users_of_a_node_that_was_killed_leave_once_within_15_seconds(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        watchers = [await member.enter(name) for member, name in ((b, "Ben"), (c, "Cem"))]
        await a.enter("Ana")
        for watcher in watchers:
            await told(watcher)
        a.peers.cut = True
        await trio.sleep(LEASE_SECONDS - RENEW_SECONDS - 1)
        for watcher in watchers:
            assert summary(await told(watcher)) == []
        await trio.sleep(GONE_SECONDS - LEASE_SECONDS + RENEW_SECONDS)
        for watcher in watchers:
            assert summary(await told(watcher)) == [([], ["Ana"], 2)]
        await trio.sleep(GONE_SECONDS)
        for watcher in watchers:
            assert summary(await told(watcher)) == []


async def test_a_node_that_stops_is_gone_at_once_and_leaves_nothing(
    autojump_clock: object, board: Board
) -> None:
    async with opened(1, board, presence_grace=0) as (a,):
        watcher = await a.enter("Watcher")
        await told(watcher)
        async with opened(1, board, presence_grace=0) as (b,):
            await b.enter("Ben")
            assert summary(await told(watcher))[-1] == (["Ben"], [], 2)
            assert len(a.cluster.known) == 1
        assert summary(await told(watcher)) == [([], ["Ben"], 1)]
        assert a.cluster.known == {}
    assert board.is_empty


async def test_who_goes_from_a_node_that_stops_to_another_one_has_not_left(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, c):
        watcher = await c.enter("Watcher")
        async with opened(1, board) as (b,):
            clients = [await b.enter("Ana"), await b.enter("Ben")]
            await told(watcher)
            await send_away(b, clients)
        again = await a.enter("Ana")
        await settled()
        for member in (a, c):
            assert member.cluster.known.keys() <= {a.cluster.id, c.cluster.id}
            assert member.users()["Ana"] == [{"client": again.id}]
        assert everybody(await told(watcher)) == ([], [])
        await trio.sleep(Settings().presence_grace)
        assert everybody(await told(watcher)) == ([], ["Ben"])
    assert board.is_empty


async def test_a_node_that_stops_with_many_names_to_release_is_gone_at_once_too(
    autojump_clock: object, board: Board
) -> None:
    async with opened(1, board, presence_grace=0) as (a,):
        watcher = await a.enter("Watcher")
        async with opened(1, board, presence_grace=0) as (b,):
            await b.enter("Ana")
            await told(watcher)
            b.peers.slow = True
        assert a.cluster.known == {}
        assert everybody(await told(watcher)) == ([], ["Ana"])


async def send_away(member: Member, clients: list[TestClient]) -> None:
    """Have a node that is about to stop say goodbye to its clients, who go."""
    member.server.node.draining = True
    for session in member.server.node.connections:
        session.end(ShuttingDown())
    for client in clients:
        assert (await client.closing()).code == 3001
        await client.stream.aclose()


async def test_whom_a_node_sends_away_before_it_stops_is_not_said_to_have_left_before_the_grace(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        watcher, ana = await a.enter("Watcher"), await b.enter("Ana")
        await told(watcher)
        await send_away(b, [ana])
        await trio.sleep(Settings().presence_grace - 1)
        assert everybody(await told(watcher)) == ([], [])
        await trio.sleep(1)
        assert everybody(await told(watcher)) == ([], ["Ana"])


async def test_nothing_is_left_of_a_node_that_was_killed(
    autojump_clock: object, board: Board
) -> None:
    async with opened(1, board) as (a,):
        await a.enter("Ana")
        await settled()
        assert not board.is_empty
        a.peers.cut = True
        await trio.sleep(HOLD_SECONDS)
        assert board.is_empty
        a.peers.cut = True


# A node that comes back.


async def test_a_node_that_was_cut_off_comes_back_right(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as (a, b, c):
        ana, ben = await a.enter("Ana"), await b.enter("Ben")
        cem = await c.enter("Cem")
        for client in (ana, ben, cem):
            await told(client)
        a.peers.cut = True
        await trio.sleep(30)
        assert summary(await told(ben)) == [([], ["Ana"], 2)]
        assert summary(await told(ana)) == []  # it cannot know what became of the others
        await b.enter("Bea")
        await cem.request(type="leave", room="lobby")
        a.peers.cut = False
        await trio.sleep(RENEW_SECONDS)
        assert a.users().keys() == b.users().keys() == {"Ana", "Ben", "Bea"}
        assert everybody(await told(ana)) == (["Bea"], ["Cem"])
        assert everybody(await told(ben)) == (["Ana", "Bea"], ["Cem"])


async def test_an_engine_that_lost_everything_makes_nobody_leave(
    autojump_clock: object, board: Board
) -> None:
    async with opened(3, board) as members:
        names = ["Ana", "Ben", "Cem"]
        clients = [await member.enter(name) for member, name in zip(members, names, strict=True)]
        for client in clients:
            await told(client)
        for member in members:
            member.peers.cut = True
        await trio.sleep(LEASE_SECONDS)
        board.lose_everything()
        for member in members:
            member.peers.cut = False
            await trio.sleep(0.5)
        await trio.sleep(2 * LEASE_SECONDS)
        for client, member in zip(clients, members, strict=True):
            assert summary(await told(client)) == []
            assert member.users().keys() == set(names)


async def test_what_an_engine_lost_is_written_anew_for_those_who_come(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        await a.enter("Ana")
        await settled()
        board.places.clear()
        await trio.sleep(HOLD_SECONDS)
        assert (await (await b.server.connect()).join("lobby"))["count"] == 2


# What all nodes know.


async def test_nodes_have_one_secret_as_long_as_one_of_them_is_there(
    autojump_clock: object, board: Board
) -> None:
    async with opened(1, board) as (a,):
        secret = a.server.node.secret
        async with opened(2, board) as (b, c):
            assert b.server.node.secret == c.server.node.secret == secret
        board.lose_everything()
        await trio.sleep(LEASE_SECONDS)
        async with opened(1, board) as (d,):
            assert d.server.node.secret == a.server.node.secret == secret
    async with opened(1, board) as (e,):
        assert e.server.node.secret != secret


# What is lost on the way.


async def test_a_change_that_was_lost_is_noticed_by_the_next(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        watcher = await b.enter("Watcher")
        await told(watcher)
        b.peers.deaf = True
        await a.enter("Ana")
        await settled()
        b.peers.deaf = False
        assert b.users().keys() == {"Watcher"}
        await a.enter("Amy")
        await settled()
        assert b.users().keys() == {"Watcher", "Ana", "Amy"}


async def test_a_change_that_was_lost_is_noticed_though_none_follows(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        await b.enter("Watcher")
        b.peers.deaf = True
        await a.enter("Ana")
        await settled()
        b.peers.deaf = False
        await trio.sleep(4 * RENEW_SECONDS)
        assert b.users().keys() == {"Watcher", "Ana"}


async def test_a_wire_that_was_broken_has_everything_read_again(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        await b.enter("Watcher")
        b.peers.deaf = True
        await a.enter("Ana")
        await settled()
        b.peers.deaf = False
        b.peers.missed()
        await settled()
        assert b.users().keys() == {"Watcher", "Ana"}


async def test_changes_while_the_engine_is_away_are_told_once_it_is_back(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        watcher, ana = await b.enter("Watcher"), await a.enter("Ana")
        await told(watcher)
        a.peers.cut = True
        await ana.request(type="leave", room="lobby")
        await trio.sleep(3)
        assert summary(await told(watcher)) == []
        a.peers.cut = False
        await trio.sleep(3)
        assert summary(await told(watcher)) == [([], ["Ana"], 1)]


# How much it takes.


async def test_changes_of_one_moment_travel_together(autojump_clock: object, board: Board) -> None:
    async with opened(2, board) as (a, b):
        clients = [await a.enter(f"u{number}", room="") for number in range(20)]
        await b.enter("Watcher")
        await settled()
        calls, told_before = a.peers.calls, len(board.told)
        for client in clients:
            await client.send(type="join", room="lobby")
        await settled()
        assert len(b.users()) == 21
        assert a.peers.calls - calls <= 4
        assert len(board.told) - told_before <= 3


async def test_more_changes_than_one_message_takes_are_all_told(
    autojump_clock: object, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rooms.server.shares.FLUSH_ENTRIES", 3)
    async with opened(2, board) as (a, b):
        await b.enter("Watcher")
        for number in range(5):
            for room in ("lobby", "x", "y"):
                await a.enter(f"u{number}-{room}", room=room)
        board.lose_everything()
        await trio.sleep(2 * RENEW_SECONDS)
        assert len(b.users()) == 6
        assert (await (await b.server.connect()).join("x"))["count"] == 6


async def test_what_is_not_a_message_of_ours_is_counted_and_ignored(
    autojump_clock: object, board: Board
) -> None:
    async with opened(2, board) as (a, b):
        node = b.server.node
        for message in (b"", b"\xff", b"{}", b'[1,"x",{"type":"what"}]', b"[" * 100_000):
            await a.peers.tell(message)
        assert node.counters.get("ignored_messages", "malformed") == 5
        await a.peers.tell(b'[2,"x",{"type":"gone"}]')
        assert node.counters.get("ignored_messages", "newer") == 1
        await a.peers.tell(b" " * 2_000_000)
        assert node.counters.get("ignored_messages", "oversized") == 1
