"""One of several nodes: its lease, what it hears of the others and what it tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio
from msgspec import Raw

from rooms.brokers.peers import KEEP_SECONDS, RENEW_SECONDS, Peers
from rooms.errors import ConfigError, Disconnect, RoomsError, Unavailable
from rooms.protocol.bus import (
    Announced,
    Answer,
    Ask,
    BadMessage,
    Gone,
    Message,
    Noted,
    Question,
    RoomsChanged,
    SendAll,
    SendNamed,
    decode,
    encode,
)
from rooms.server.asking import Answers, Asking
from rooms.server.claims import Claims
from rooms.server.neighbours import Neighbour, Neighbours
from rooms.server.parting import Parting
from rooms.server.questions import ANSWERS, send_all
from rooms.server.shares import Shares
from rooms.server.telling import tell_here

if TYPE_CHECKING:
    from rooms.server.node import Node

FLUSH_SECONDS = 0.02
"""How long changes are collected before they are written."""

LOOK_SECONDS = 0.05
"""How long after there is a reason to look at the list of nodes it is looked at."""

RETRY_SECONDS = 1.0
"""How long to wait before something that was not available is tried again."""

LEAVE_SECONDS = 2.0
"""How long a node that ends may take to tell that."""

WAITING_QUESTIONS = 100
"""Questions of other nodes that wait to be answered; then more are not."""

WAITING_ORDERS = 1000
"""What other nodes are to do, and have not been asked yet."""

ORDERS_AT_ONCE = 4
"""How many of those are asked at the same time."""

AGREED = "\nagreed"
"""The name by which nodes hold what they all know; no guest can be called that."""

TRIES = 5
"""How often a node is asked that does not answer."""

log = structlog.get_logger("rooms")


class Cluster:
    """This node among the others that its broker connects.

    Attributes:
        id: Of this node: new at each start.
        neighbours: The other nodes.
        claims: The names that guests have here.
    """

    def __init__(self, node: Node, peers: Peers) -> None:
        self.id = node.life
        self._node = node
        self._peers = peers
        self._shares = Shares(self.id, peers)
        self._asking = Asking(self.id, peers)
        self.neighbours = Neighbours(self.id, node.hub, peers, self._look_soon)
        self._parting = Parting(node, self.neighbours)
        self._look = trio.Event()
        self._warned: set[str] = set()
        self._questions, self._asked = trio.open_memory_channel[tuple[str, Ask]](WAITING_QUESTIONS)
        self._orders, self._ordered = trio.open_memory_channel[Question](WAITING_ORDERS)
        self.claims = Claims(peers, node.guests, lambda: [self.id, *self.known])
        node.hub.sharing = self._shares

    @property
    def told(self) -> int:
        """How much of what this node holds the others have been told."""
        return self._shares.told

    @property
    def known(self) -> dict[str, Neighbour]:
        """The other nodes that are alive, by id."""
        return self.neighbours.known

    # What the rest of the server does.

    async def ask(self, question: Question, nodes: list[str] | None = None) -> Answers:
        """Ask some of the other nodes, or all; ``silent`` are those that did not answer in time."""
        asked = list(self.known) if nodes is None else nodes
        answers = await self._asking.ask(question, asked)
        if answers.silent:
            self._node.counters.add("unanswered_questions", amount=len(answers.silent))
            log.warning("nodes did not answer", nodes=answers.silent)
        return answers

    def ask_soon(self, question: Question) -> None:
        """Have all other nodes do something; who does not answer is asked again for a while."""
        try:
            self._orders.send_nowait(question)
        except trio.WouldBlock:
            self._node.counters.add("unanswered_questions", amount=len(self.known))
            log.error("the other nodes could not be asked", question=type(question).__name__)

    async def tell_all(self, message: Message) -> None:
        """Tell all other nodes something.

        Raises:
            BadMessage: It is too large.
            Unavailable: It could not be told.
        """
        await self._peers.tell(encode(self.id, message))

    # Its life.

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be one of the nodes while the block runs.

        Raises:
            ConfigError: The others cannot be reached.
        """
        async with self._peers.open(self.id, self._hear, self._missed):
            try:
                await self._join()
            except Unavailable as error:
                raise ConfigError(f"The other nodes cannot be reached: {error}") from None
            async with trio.open_nursery() as nursery:
                working = trio.CancelScope(shield=True)
                nursery.start_soon(self._work, working)
                try:
                    yield
                finally:
                    working.cancel()
                    with trio.move_on_after(LEAVE_SECONDS, shield=True):
                        await self._leave()

    async def _work(self, working: trio.CancelScope) -> None:
        """Do all that goes on; a cancelled server still needs it for its goodbyes."""
        with working:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew_forever)
                nursery.start_soon(self._flush_forever)
                nursery.start_soon(self._keep_forever)
                nursery.start_soon(self._answer_forever)
                nursery.start_soon(self._parting.run)
                nursery.start_soon(self.claims.release_forever)
                for _ in range(ORDERS_AT_ONCE):
                    nursery.start_soon(self._order_forever)

    async def _join(self) -> None:
        """Be listed, once all that this node holds can be read."""
        self._shares.write_anew()
        await self._shares.flush()
        await self._agree()
        listed = await self._peers.join(msgspec.json.encode(self._node.info))
        await self.tell_all(Announced(self._shares.told))
        await self.neighbours.see(listed)

    async def _agree(self) -> None:
        """Have one secret with the other nodes: that of whoever was there first."""
        found = await self._peers.claim(AGREED, AGREED, self._node.secret, [])
        self._node.secret = found or self._node.secret

    async def _leave(self) -> None:
        try:
            await self._shares.flush()
            await self._peers.leave()
            await self.tell_all(Gone())
            await self._shares.clear()
            await self._peers.release(AGREED)
            await self.claims.release_all()  # many take long; those of a node that is gone are free
        except Unavailable as error:
            log.warning("the other nodes could not be told of the end", problem=error.message)

    async def _renew_forever(self) -> None:
        seconds: float = RENEW_SECONDS
        while True:
            with trio.move_on_after(seconds):
                await self._look.wait()
            self._look = trio.Event()
            await trio.sleep(LOOK_SECONDS)
            try:
                await self._renew()
                seconds = RENEW_SECONDS
            except Unavailable:
                seconds = RETRY_SECONDS

    async def _renew(self) -> None:
        listed = None
        if not self._shares.lost:
            listed = await self._peers.renew(msgspec.json.encode(self._node.info))
        if listed is not None:
            await self.neighbours.see(listed)
            return
        log.warning("the lease was lost: telling the other nodes everything anew")
        self.neighbours.be_patient()
        self._missed()
        self._node.revocations.say_all()
        await self._join()
        await self._keep_names()

    async def _flush_forever(self) -> None:
        while True:
            await self._shares.waiting.wait()
            await trio.sleep(FLUSH_SECONDS)
            try:
                await self._shares.flush()
            except Unavailable:
                await trio.sleep(RETRY_SECONDS)

    async def _keep_forever(self) -> None:
        seconds: float = KEEP_SECONDS
        while True:
            await trio.sleep(seconds)
            try:
                await self._shares.keep()
                await self._agree()
                await self._keep_names()
                seconds = KEEP_SECONDS
            except Unavailable:
                seconds = RETRY_SECONDS

    async def _keep_names(self) -> None:
        """Keep the guests' names; who has lost one, while this node was away, has to go."""
        for user in await self.claims.keep():
            log.warning("a guest's name was taken meanwhile", user=user.id)
            for session in tuple(self._node.sessions.values()):
                if session.origin.user == user.id:
                    session.end(Disconnect("your name was taken meanwhile"))

    # What it hears.

    def _hear(self, data: bytes) -> None:
        """Take one message; what is not ours is counted and ignored."""
        try:
            node, message = decode(data)
        except BadMessage as error:
            self._node.counters.add("ignored_messages", error.reason)
            if error.reason not in self._warned:
                self._warned.add(error.reason)
                log.warning("a message of another node is ignored", reason=error.reason)
            return
        if node != self.id:
            HEARD[type(message)](self, node, message)

    def _hear_announced(self, node: str, message: Announced) -> None:
        self.neighbours.hear_announced(node, message.told)

    def _hear_gone(self, node: str, message: Gone) -> None:
        self._parting.begin(node)

    def _look_soon(self) -> None:
        self._look.set()

    def _hear_changes(self, node: str, message: RoomsChanged) -> None:
        self.neighbours.hear(node, message)

    def _hear_send_all(self, node: str, message: SendAll) -> None:
        send_all(self._node, message)

    def _hear_send_named(self, node: str, message: SendNamed) -> None:
        tell_here(self._node, message.names, message.event, message.payload)

    def _hear_noted(self, node: str, message: Noted) -> None:
        if self._node.shared_revocations is not None:
            self._node.shared_revocations.hear(message)

    def _missed(self) -> None:
        """Read everything again: word of something may have been lost."""
        self.neighbours.read_all()
        if self._node.shared_revocations is not None:
            self._node.shared_revocations.read_again()

    def _hear_question(self, node: str, message: Ask) -> None:
        try:
            self._questions.send_nowait((node, message))
        except trio.WouldBlock:
            self._node.counters.add("ignored_messages", "busy")

    def _hear_answer(self, node: str, message: Answer) -> None:
        self._asking.hear(node, message)

    async def _order_forever(self) -> None:
        """Ask what others are to do, several at once: a node that is silent holds up no other."""
        async for question in self._ordered:
            silent = list(self.known)
            for _ in range(TRIES):
                answers = await self.ask(question, [each for each in silent if each in self.known])
                silent = answers.silent
                if not silent:
                    break

    async def _answer_forever(self) -> None:
        async for node, ask in self._asked:
            try:
                await self._peers.tell(self._answer(ask), node)
            except Unavailable:
                continue  # whoever asked waits no longer than for a deadline

    def _answer(self, ask: Ask) -> bytes:
        try:
            content = ANSWERS[type(ask.question)](self._node, ask.question)
            return encode(self.id, Answer(ask.id, Raw(msgspec.json.encode(content))))
        except (RoomsError, ValueError) as error:
            return encode(self.id, Answer(ask.id, problem=str(error)))
        except (TypeError, OverflowError, RecursionError) as error:  # an application's own data
            log.warning("an answer to another node is no JSON", error=str(error))
            return encode(self.id, Answer(ask.id, problem="it cannot be said in JSON"))


HEARD: dict[type[Message], Callable[[Cluster, str, Any], None]] = {
    Announced: Cluster._hear_announced,
    Answer: Cluster._hear_answer,
    Ask: Cluster._hear_question,
    Gone: Cluster._hear_gone,
    Noted: Cluster._hear_noted,
    RoomsChanged: Cluster._hear_changes,
    SendAll: Cluster._hear_send_all,
    SendNamed: Cluster._hear_send_named,
}
"""What is done with each kind of message."""
