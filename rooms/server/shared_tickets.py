"""Tickets where several nodes share a port: each says which node has given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from rooms.core.grants import parse_grants
from rooms.core.identity import Identity
from rooms.core.tries import FailedTries
from rooms.errors import Refused
from rooms.protocol.bus import SignedIn, TakeTicket

if TYPE_CHECKING:
    from rooms.server.cluster import Cluster
    from rooms.server.gate import Gate

SEPARATOR = "."

_decode = msgspec.json.Decoder(SignedIn | None).decode


def share_tickets(gate: Gate, cluster: Cluster) -> None:
    """Have the tickets of every node be good on all of them.

    Only the node that has given a ticket is asked for it, so nobody can have all nodes asked, and
    who guesses has to wait before it is asked again.
    """
    tries = FailedTries()

    async def redeem(ticket: str, who: str) -> Identity | None:
        node, separator, _ = ticket.partition(SEPARATOR)
        if not separator or node not in cluster.known:
            return None
        now = trio.current_time()
        if tries.wait(who, now):
            raise Refused("Too many wrong tickets came from your address; try again later.", 429)
        tries.fail(who, now)  # before the answer: many may ask at the same time
        answers = await cluster.ask(TakeTicket(ticket), [node])
        found = _decode(answers.contents[node]) if node in answers.contents else None
        if found is None:
            return None
        tries.forgive(who)
        return _identity(found)

    gate.tickets.node = cluster.id + SEPARATOR
    gate.elsewhere = redeem


def _identity(found: SignedIn) -> Identity:
    return Identity(
        user=found.user,
        expires_at=found.expires_at,
        token_id=found.token_id,
        grants=None if found.rooms is None else parse_grants(found.rooms),
        claims=found.claims,
    )
