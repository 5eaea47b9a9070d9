"""Questions to other nodes, each with a deadline."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import trio
from msgspec import Raw

from rooms.brokers.peers import Peers
from rooms.errors import Unavailable
from rooms.protocol.bus import Answer, Ask, BadMessage, Question, encode

ANSWER_SECONDS = 2.0
"""How long other nodes have to answer."""


class Answers(NamedTuple):
    """What nodes answered, as JSON, and those that did not, or not in time."""

    contents: dict[str, Raw]
    silent: list[str]


class _Open:
    """A question that is not answered by all."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.waiting = dict.fromkeys(nodes)
        self.failed: list[str] = []
        self.contents: dict[str, Raw] = {}
        self.done = trio.Event()


class Asking:
    """Asks other nodes and collects their answers."""

    def __init__(self, node: str, peers: Peers) -> None:
        self._node = node
        self._peers = peers
        self._numbers = count(1)
        self._open: dict[int, _Open] = {}

    async def ask(self, question: Question, nodes: Iterable[str]) -> Answers:
        """Ask some nodes; who has not answered within `ANSWER_SECONDS` is silent."""
        asked = _Open(nodes)
        number = next(self._numbers)
        if not asked.waiting:
            return Answers({}, [])
        self._open[number] = asked
        try:
            with trio.move_on_after(ANSWER_SECONDS):
                await self._tell(Ask(number, question), list(asked.waiting))
                await asked.done.wait()
        finally:
            del self._open[number]
        return Answers(asked.contents, [*asked.failed, *asked.waiting])

    def hear(self, node: str, answer: Answer) -> None:
        """Take an answer; one that comes too late, or twice, changes nothing."""
        asked = self._open.get(answer.id)
        if asked is None or node not in asked.waiting:
            return
        del asked.waiting[node]
        if answer.problem:
            asked.failed.append(node)
        else:
            asked.contents[node] = answer.content.copy()
        if not asked.waiting:
            asked.done.set()

    async def _tell(self, ask: Ask, nodes: list[str]) -> None:
        try:
            data = encode(self._node, ask)
            for node in nodes:
                await self._peers.tell(data, node)
        except (BadMessage, Unavailable):
            return  # nobody answers
