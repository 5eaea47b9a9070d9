"""What `Peers` promises, as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import trio
import trio.testing

from rooms.brokers.peers import HOLD_SECONDS, LEASE_SECONDS, Change, Held, Peers
from rooms.testing.brokers.node import SECONDS

NOTHING_HELD = Held(0, {})


class PeerNode:
    """One node, and what it has heard."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.heard: list[bytes] = []
        self._changed = trio.Event()

    def hear(self, message: bytes) -> None:
        """Take a message."""
        self.heard.append(message)
        self._changed.set()

    def missed(self) -> None:
        """Nothing was lost in these tests."""

    async def wait_for(self, message: bytes) -> None:
        """Wait until a message was heard."""
        with trio.fail_after(SECONDS):
            while message not in self.heard:
                self._changed = trio.Event()
                await self._changed.wait()


class Opened(NamedTuple):
    """Two nodes, ``a`` and ``b``, and the way to each."""

    a: Peers
    b: Peers
    nodes: dict[str, PeerNode]


class PeersTests(ABC):
    """A test for each sentence of `Peers`; see `BrokerSuite`."""

    @abstractmethod
    def open_engine(self) -> AbstractAsyncContextManager[Sequence[Peers]]:
        """Return ways for two nodes to an engine that nobody else uses."""

    async def pass_time(self, clock: trio.testing.MockClock, seconds: float) -> None:
        """Let time pass for the engine; override it where its time is not Trio's."""
        clock.jump(seconds)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Opened]:
        """Open two nodes while the block runs."""
        async with self.open_engine() as ways, AsyncExitStack() as stack:
            nodes = {name: PeerNode(way) for name, way in zip("ab", ways, strict=True)}
            for name, node in nodes.items():
                opening = node.peers.open(name, node.hear, node.missed)
                await stack.enter_async_context(opening)
            yield Opened(nodes["a"].peers, nodes["b"].peers, nodes)

    async def test_a_node_is_listed_from_join_until_leave(self) -> None:
        async with self.opened() as (a, b, _):
            assert list(await a.join(b"i'm a")) == ["a"]
            listed = await b.join(b"i'm b")
            assert {node: lease.info for node, lease in listed.items()} == {
                "a": b"i'm a",
                "b": b"i'm b",
            }
            assert 0 <= listed["a"].age < SECONDS
            await a.leave()
            assert list(await b.renew(b"") or ()) == ["b"]

    async def test_to_renew_tells_anew_what_the_node_says_of_itself(self) -> None:
        async with self.opened() as (a, b, _):
            await a.join(b"1")
            await b.join(b"1")
            await a.renew(b"2")
            listed = await b.renew(b"1")
            assert listed is not None
            assert listed["a"].info == b"2"

    async def test_who_does_not_renew_the_lease_is_not_listed_and_has_to_join_again(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.opened() as (a, b, _):
            await a.join(b"")
            await self.pass_time(mock_clock, LEASE_SECONDS)
            assert list(await b.join(b"")) == ["b"]
            assert await a.renew(b"") is None
            assert sorted(await a.join(b"")) == ["a", "b"]

    async def test_who_was_never_listed_cannot_renew(self) -> None:
        async with self.opened() as (a, _, _):
            assert await a.renew(b"") is None

    async def test_a_message_reaches_every_node_in_order(self) -> None:
        async with self.opened() as (a, _, nodes):
            for number in range(5):
                await a.tell(b"m%d" % number)
            for node in nodes.values():
                await node.wait_for(b"m4")
                assert node.heard == [b"m%d" % number for number in range(5)]

    async def test_a_message_to_one_node_reaches_no_other(self) -> None:
        async with self.opened() as (a, _, nodes):
            await a.tell(b"for b", "b")
            await a.tell(b"for all")
            await nodes["a"].wait_for(b"for all")
            await nodes["b"].wait_for(b"for all")
            assert nodes["a"].heard == [b"for all"]
            assert sorted(nodes["b"].heard) == [b"for all", b"for b"]

    async def test_what_a_node_holds_can_be_read_by_all(self) -> None:
        async with self.opened() as (a, b, _):
            await a.hold(3, [Change("x", {"c1": b"1", "c2": b"2"}), Change("y", {"c1": b"3"})])
            await b.hold(1, [Change("x", {"c9": b"9"})])
            places = [("x", "a"), ("y", "a"), ("x", "b"), ("z", "a")]
            assert await b.held(places) == [
                Held(3, {"c1": b"1", "c2": b"2"}),
                Held(3, {"c1": b"3"}),
                Held(1, {"c9": b"9"}),
                NOTHING_HELD,
            ]
            assert await b.held([]) == []

    async def test_changes_add_up(self) -> None:
        async with self.opened() as (a, b, _):
            await a.hold(1, [Change("x", {"c1": b"1", "c2": b"2"})])
            await a.hold(2, [Change("x", {"c1": None, "c2": b"two", "c3": b"3", "c4": None})])
            assert await b.held([("x", "a")]) == [Held(2, {"c2": b"two", "c3": b"3"})]

    async def test_a_whole_change_leaves_nothing_of_what_was(self) -> None:
        async with self.opened() as (a, b, _):
            await a.hold(1, [Change("x", {"c1": b"1"})])
            await a.hold(2, [Change("x", {"c2": b"2"}, whole=True)])
            assert await b.held([("x", "a")]) == [Held(2, {"c2": b"2"})]
            await a.hold(3, [Change("x", {}, whole=True)])
            assert await b.held([("x", "a")]) == [NOTHING_HELD]

    async def test_where_the_last_client_is_gone_nothing_is_held(self) -> None:
        async with self.opened() as (a, b, _):
            await a.hold(1, [Change("x", {"c1": b"1"})])
            await a.hold(2, [Change("x", {"c1": None})])
            assert await b.held([("x", "a")]) == [NOTHING_HELD]
            assert await a.keep(["x"]) == ["x"]

    async def test_what_is_not_kept_is_gone_and_what_is_kept_stays(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.opened() as (a, b, _):
            await a.hold(1, [Change("x", {"c1": b"1"}), Change("y", {"c1": b"1"})])
            await self.pass_time(mock_clock, HOLD_SECONDS / 2)
            assert await a.keep(["x", "z"]) == ["z"]
            await self.pass_time(mock_clock, HOLD_SECONDS * 3 / 4)
            assert await b.held([("x", "a"), ("y", "a")]) == [Held(1, {"c1": b"1"}), NOTHING_HELD]

    async def test_a_name_is_held_with_one_secret_by_several_nodes(self) -> None:
        async with self.opened() as (a, b, _):
            nodes = ["a", "b"]
            assert await a.claim("ana", "s1", "Ana", nodes) == "Ana"
            assert await b.claim("ana", "s2", "ana", nodes) is None
            assert await b.claim("ana", "s1", "ana", nodes) == "Ana"
            await a.release("ana")
            assert await a.claim("ana", "s2", "ANA", nodes) is None
            await b.release("ana")
            assert await a.claim("ana", "s2", "ANA", nodes) == "ANA"

    async def test_a_claim_counts_as_long_as_its_node_lives(self) -> None:
        async with self.opened() as (a, b, _):
            await a.claim("ana", "s1", "Ana", ["a", "b"])
            assert await b.claim("ana", "s2", "ana", ["b"]) == "ana"
            assert await a.claim("ana", "s1", "Ana", ["a", "b"]) is None

    async def test_a_claim_that_is_not_made_again_is_over(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.opened() as (a, b, _):
            await a.claim("ana", "s1", "Ana", ["a", "b"])
            await self.pass_time(mock_clock, HOLD_SECONDS)
            assert await b.claim("ana", "s2", "ana", ["a", "b"]) == "ana"

    async def test_to_release_a_name_that_is_not_claimed_does_nothing(self) -> None:
        async with self.opened() as (a, b, _):
            await a.release("ana")
            await a.claim("ana", "s1", "Ana", ["a", "b"])
            await b.release("ana")
            assert await b.claim("ana", "s2", "ana", ["a", "b"]) is None
