"""`rooms.server.shared_revocations`: what was revoked is known to whoever starts later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from rooms import Settings
from rooms.brokers.base import Broker
from rooms.brokers.sqlite import SqliteBroker
from rooms.errors import ConfigError
from rooms.protocol.bus import Noted, Revoke, encode
from rooms.server.endings import MARGIN_SECONDS
from rooms.server.questions import revoke_here
from rooms.server.shared_revocations import SharedRevocations
from rooms.testing import MemoryServer, in_memory
from rooms.testing.client import Refused
from tests.brokers.board import Board, BoardNotes, BoardPeers, brokers_of, peers_of
from tests.server.cluster import settled
from tests.server.signing import Club, bearer, end_of, knock


@pytest.fixture
def board() -> Board:
    return Board()


@asynccontextmanager
async def served(broker: Broker) -> AsyncIterator[tuple[Club, MemoryServer]]:
    """Serve a club that knows three tokens of Ana, one of which is from before."""
    club = Club()
    club.tokens.add("t1", seconds=3600)
    club.tokens.add("t2", seconds=3600)
    club.tokens.add("old", seconds=3600, claims={"iat": 1})
    settings = Settings(ping_seconds=3600, pong_seconds=3600)
    async with in_memory(club.app, settings, broker) as server:
        yield club, server


async def let_in(server: MemoryServer, *tokens: str) -> list[bool]:
    """Whether each of the tokens gets in."""
    found = []
    for token in tokens:
        try:
            await knock(server, bearer(token))
        except Refused:
            found.append(False)
        else:
            found.append(True)
    return found


async def test_a_node_that_starts_later_refuses_what_was_revoked(
    autojump_clock: object, board: Board
) -> None:
    first, second = brokers_of(board, 2)
    async with served(first) as (club, _):
        club.app.revoke(token_id="t1", user="ana")
        await settled()
        async with served(second) as (_, server):
            assert await let_in(server, "t1", "old", "t2", "ben") == [False, False, True, True]


async def test_it_outlasts_all_nodes_and_what_is_revoked_last_does_too(board: Board) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, _):
        club.app.revoke(token_id="t1")  # and the server ends in the same moment
    async with served(brokers_of(board, 1)[0]) as (_, server):
        assert await let_in(server, "t1", "t2") == [False, True]


async def test_it_outlasts_a_server_alone_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    async with served(SqliteBroker(path)) as (club, _):
        club.app.revoke(token_id="t1")
    async with served(SqliteBroker(path)) as (_, server):
        assert await let_in(server, "t1", "t2") == [False, True]


async def test_it_is_kept_no_longer_than_it_must(autojump_clock: object, board: Board) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, server):
        ends = server.node.started_at + 600
        club.app.revoke(token_id="t1", expires_at=ends)
        club.app.revoke(token_id="t2", expires_at=float("inf"))
        await settled()
        assert set(board.notes) == {"token t1", "token t2"}
        await trio.sleep(600)
        board.expire()
        assert set(board.notes) == {"token t1", "token t2"}
        await trio.sleep(MARGIN_SECONDS)
        board.expire()
        assert set(board.notes) == {"token t2"}


async def test_a_node_whose_wire_was_broken_reads_what_it_missed(
    autojump_clock: object, board: Board
) -> None:
    first, second = brokers_of(board, 2)
    async with served(first) as (club, _), served(second) as (_, server):
        await settled()
        client = await server.connect(headers=bearer("t1"))
        deaf = peers_of(second)
        deaf.deaf = True
        club.app.revoke(token_id="t1")
        await trio.sleep(30)  # it was asked again and again
        deaf.deaf = False
        assert await let_in(server, "t1") == [True]
        deaf.missed()
        assert await end_of(client) == (3500, "sign-in revoked")
        assert await let_in(server, "t1") == [False]


async def test_a_node_that_nobody_knew_yet_is_told(autojump_clock: object, board: Board) -> None:
    async with served(brokers_of(board, 1)[0]) as (_, server):
        client = await server.connect(headers=bearer("t1"))
        other = await server.connect(headers=bearer("t2"))
        peers = peers_of(server.node.broker)
        notes = [("token t1", 1.0, 60.0), ("of a later release", 1.0, 60.0)]
        await peers.tell(encode("other", Noted(notes)))
        assert await end_of(client) == (3500, "sign-in revoked")
        assert (await other.event("whoami"))["payload"]["user"] == "ana"


async def test_word_that_comes_late_spares_the_tokens_that_are_newer(board: Board) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, server):
        said = server.node.started_at - 60
        for name, issued in (("before", said - 1), ("after", said + 1)):
            club.tokens.add(name, seconds=3600, claims={"iat": issued})
        revoke_here(server.node, Revoke("ana", None, None, said))
        assert await let_in(server, "before", "after") == [False, True]


async def test_while_the_broker_is_away_it_waits(autojump_clock: object, board: Board) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, server):
        peers = peers_of(server.node.broker)
        peers.cut = True
        club.app.revoke(token_id="t1")
        await trio.sleep(30)
        assert board.notes == {}
        peers.cut = False
        await trio.sleep(2)
        assert set(board.notes) == {"token t1"}


async def test_an_engine_that_lost_everything_is_told_again(
    autojump_clock: object, board: Board
) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, _):
        club.app.revoke(token_id="t1", user="ana")
        await settled()
        board.lose_everything()
        await trio.sleep(30)
        assert set(board.notes) == {"token t1", "user ana"}


async def test_more_than_one_message_takes_is_kept_all_the_same(
    autojump_clock: object, board: Board
) -> None:
    async with served(brokers_of(board, 1)[0]) as (club, _):
        names = {"token " + "x" * 2**20} | {f"token {number}" for number in range(300)}
        for name in names:
            club.app.revoke(token_id=name.removeprefix("token "))
        await settled()
        assert set(board.notes) == names


async def test_without_knowing_what_was_revoked_nobody_is_served(board: Board) -> None:
    async with served(brokers_of(board, 2)[0]) as (_, server):
        away = BoardPeers(board)
        away.cut = True
        shared = SharedRevocations(server.node, BoardNotes(away))
        with pytest.raises(ConfigError, match="revoked cannot be read"):
            async with shared.running():
                raise AssertionError


async def test_what_could_not_be_kept_at_the_end_is_in_the_log(
    autojump_clock: object, board: Board
) -> None:
    with capture_logs() as logs:
        async with served(brokers_of(board, 1)[0]) as (club, server):
            peers_of(server.node.broker).cut = True
            club.app.revoke(token_id="t1")
    assert [each for each in logs if each["event"] == "not all that was revoked is kept"]
