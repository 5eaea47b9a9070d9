"""Clients wherever they are connected: on this node, or on another one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from msgspec import Raw

from rooms.errors import LimitExceeded, check_close_code
from rooms.protocol.bus import BadMessage, CloseClient, Question, Revoke, SendAll, SendTo
from rooms.server import questions

if TYPE_CHECKING:
    from rooms.server.node import Node

ASKED_CLIENTS = 1000
"""The most clients that one question names."""


def home_of(node: Node, client: str) -> str | None:
    """Return the other node that a client is connected to, if its id names one that is alive."""
    home = client.rpartition("-")[2]
    return home if node.cluster is not None and home in node.cluster.known else None


async def send_to(node: Node, clients: Iterable[str], event: str, payload: Any) -> int:
    """Send an event to clients; returns how many are connected, as far as nodes answer.

    Raises:
        TypeError: ``payload`` cannot be said in JSON.
        LimitExceeded: It is too large for other nodes.
    """
    raw = Raw(msgspec.json.encode(payload))
    here: list[str] = []
    elsewhere: dict[str, list[str]] = {}
    for client in dict.fromkeys(clients):
        home = home_of(node, client)
        (here if home is None else elsewhere.setdefault(home, [])).append(client)
    sent = questions.send_to(node, SendTo(here, event, raw))
    await trio.lowlevel.checkpoint()
    for home, there in elsewhere.items():
        for start in range(0, len(there), ASKED_CLIENTS):
            some = SendTo(there[start : start + ASKED_CLIENTS], event, raw)
            sent += await _ask_one(node, home, some) or 0
    return sent


async def close(node: Node, client: str, code: int, reason: str) -> bool | None:
    """End a connection; returns whether there was one, None if its node does not answer.

    Raises:
        ValueError: ``code`` may not be sent.
    """
    question = CloseClient(client, check_close_code(code), reason)
    home = home_of(node, client)
    if home is None:
        return questions.close_client(node, question)
    found: bool | None = await _ask_one(node, home, question)
    return found


async def broadcast(node: Node, event: str, payload: Any, exclude: Iterable[str] = ()) -> None:
    """Send an event to every client of every node but those whose ids are excluded.

    Raises:
        TypeError: ``payload`` cannot be said in JSON.
        LimitExceeded: It is too large for other nodes.
        Unavailable: The other nodes cannot be told for the moment; those here have been.
    """
    message = SendAll(event, Raw(msgspec.json.encode(payload)), list(exclude))
    questions.send_all(node, message)
    await trio.lowlevel.checkpoint()
    if node.cluster is not None:
        try:
            await node.cluster.tell_all(message)
        except BadMessage:
            raise LimitExceeded("That is too large to be sent to other nodes.") from None


async def revoke(node: Node, question: Revoke) -> None:
    """End a sign-in on all nodes; those that are silent for now are asked again for a while."""
    questions.revoke_here(node, question)
    await trio.lowlevel.checkpoint()
    if node.cluster is not None and (await node.cluster.ask(question)).silent:
        node.cluster.ask_soon(question)


async def _ask_one(node: Node, other: str, question: Question) -> Any:
    """Return what one other node answers, or None."""
    assert node.cluster is not None
    answers = await node.cluster.ask(question, [other])
    content = answers.contents.get(other)
    return None if content is None else msgspec.json.decode(content)
