"""A ticket of one node is good on another, once."""

from __future__ import annotations

import time

import pytest
import trio

from rooms import App, Credentials, Identity, User
from rooms.core.grants import parse_grants
from rooms.core.tries import SECONDS, TRIES
from rooms.errors import Refused as NotLetIn
from rooms.server.gate import Gate
from rooms.testing import Refused
from tests.brokers.board import Board
from tests.server.cluster import Member, opened

ANA = Identity(
    user=User("ana", "Ana"),
    expires_at=time.time() + 3600,
    token_id="t1",
    grants=parse_grants({"team/+": ["join", "publish"]}),
    claims={"role": "captain"},
)


def guarded() -> App:
    """An application that lets nobody in but by ticket."""
    app = App(relay=True)

    @app.authenticate
    def nobody(credentials: Credentials) -> None:
        raise NotLetIn("Nobody is known here.")

    return app


def gate_of(member: Member) -> Gate:
    gate = member.server.node.gate
    assert gate is not None
    return gate


def ticket_of(member: Member) -> str:
    """A ticket for Ana."""
    return gate_of(member).tickets.issue(ANA, 30, time.time())


async def test_a_ticket_of_another_node_lets_in_once_with_all_that_holds(
    autojump_clock: object,
) -> None:
    async with opened(3, Board(), guarded) as (first, second, third):
        ticket = ticket_of(first)
        client = await second.server.connect(path=f"/ws?ticket={ticket}")
        (session,) = second.server.node.sessions.values()
        assert session.identity is not None
        assert session.identity.user == ANA.user
        assert session.identity.claims == {"role": "captain"}
        assert session.identity.token_id == "t1"
        await client.join("team/1")
        assert (await client.request(type="join", room="other"))["code"] == "forbidden"
        for member in (first, second, third):
            with pytest.raises(Refused):
                await member.server.connect(path=f"/ws?ticket={ticket}")


@pytest.mark.parametrize("spoilt", ["x", "nobody.x", "{node}.x", "{node}.", "."])
async def test_what_is_no_ticket_of_anybody_is_refused(autojump_clock: object, spoilt: str) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        ticket = spoilt.format(node=first.cluster.id)
        with pytest.raises(Refused):
            await second.server.connect(path=f"/ws?ticket={ticket}")


async def test_only_the_node_that_gave_it_is_asked(autojump_clock: object) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        ticket = ticket_of(first)
        first.peers.cut = True
        with pytest.raises(Refused):
            await second.server.connect(path=f"/ws?ticket={ticket}")


async def test_who_guesses_has_no_other_node_asked_any_more_for_a_while(
    autojump_clock: object,
) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        wrong = f"/ws?ticket={first.cluster.id}.x"
        for _ in range(3):
            await second.server.connect(path=f"/ws?ticket={ticket_of(first)}")  # counts for nothing
        for _ in range(TRIES):
            with pytest.raises(Refused, match="401"):
                await second.server.connect(path=wrong)
        asked = len(first.peers.board.told)
        for ticket in (wrong, f"/ws?ticket={ticket_of(first)}"):
            with pytest.raises(Refused, match="429"):
                await second.server.connect(path=ticket)
        assert len(first.peers.board.told) == asked
        await second.server.connect(path=f"/ws?ticket={ticket_of(second)}")  # asks nobody
        await trio.sleep(SECONDS)
        await second.server.connect(path=f"/ws?ticket={ticket_of(first)}")


async def test_those_who_guess_at_the_same_time_are_counted_before_an_answer(
    autojump_clock: object,
) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        answers: list[int] = []

        async def guess() -> None:
            with pytest.raises(Refused) as caught:
                await second.server.connect(path=f"/ws?ticket={first.cluster.id}.x")
            answers.append(caught.value.status)

        async with trio.open_nursery() as nursery:
            for _ in range(2 * TRIES):
                nursery.start_soon(guess)
        assert sorted(answers) == [401] * TRIES + [429] * TRIES


async def test_a_revoked_sign_in_is_worth_nothing_elsewhere_either(autojump_clock: object) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        ticket = ticket_of(first)
        gate_of(second).revocations.add_token("t1", time.time() + 60, time.time())
        with pytest.raises(Refused):
            await second.server.connect(path=f"/ws?ticket={ticket}")


async def test_a_logout_overtakes_a_ticket_that_another_node_is_asked_for(
    autojump_clock: object,
) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        gate, ticket = gate_of(second), ticket_of(first)
        ask = gate.elsewhere

        async def overtaken(ticket: str, who: str) -> Identity | None:
            identity = await ask(ticket, who)
            gate.log_out("ana")
            return identity

        gate.elsewhere = overtaken
        with pytest.raises(Refused, match="401"):
            await second.server.connect(path=f"/ws?ticket={ticket}")


async def test_claims_that_json_cannot_hold_are_good_on_their_own_node_only(
    autojump_clock: object,
) -> None:
    async with opened(2, Board(), guarded) as (first, second):
        identity = Identity(user=User("ben", "Ben"), claims={"own": object()})
        tickets = [gate_of(first).tickets.issue(identity, 30, time.time()) for _ in range(2)]
        with pytest.raises(Refused, match="401"):
            await second.server.connect(path=f"/ws?ticket={tickets[0]}")
        await first.server.connect(path=f"/ws?ticket={tickets[1]}")
        await second.server.connect(path=f"/ws?ticket={ticket_of(first)}")
