"""Tickets where several nodes share a port: each says which node has given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rooms.core.grants import parse_grants
from rooms.core.identity import Identity
from rooms.protocol.bus import SignedIn, TakeTicket

if TYPE_CHECKING:
    from rooms.server.cluster import Cluster
    from rooms.server.gate import Gate

SEPARATOR = "."

_decode = msgspec.json.Decoder(SignedIn | None).decode


def share_tickets(gate: Gate, cluster: Cluster) -> None:
    """Have the tickets of every node be good on all of them.

    Only the node that has given a ticket is asked for it, so nobody can have all nodes asked.
    """

    async def redeem(ticket: str) -> Identity | None:
        node, separator, _ = ticket.partition(SEPARATOR)
        if not separator or node not in cluster.known:
            return None
        answers = await cluster.ask(TakeTicket(ticket), [node])
        found = _decode(answers.contents[node]) if node in answers.contents else None
        return None if found is None else _identity(found)

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
