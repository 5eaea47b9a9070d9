"""What goes wrong in a run: each fault breaks something and mends it again."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from scripts.chaos_run.members import LOST, life_of, present
from scripts.chaos_run.nodes import Node
from scripts.chaos_run.shards import Shards
from tests.brokers.valkey import Valkey

GONE_SECONDS = 15.0
"""After so long nobody may be told any more of the clients of a node that was killed."""

LOOK_SECONDS = 0.25

FAIL_OVER = "kill -9 a server of the cluster"
REWIND = "kill -9 the engine, seconds lost"


class Faults:
    """Breaks and mends nodes, their links and the engine.

    Args:
        length: How long faults last, as a share of what they last in a long run.
        replaced: How many nodes are replaced one by one.
        watched: A room that is looked at after a node was killed.

    Attributes:
        done: How often each was.
        losses: How often the engine has lost what it held.
        gone_after: Seconds after which nobody was told any more of a killed node's clients, where
            nothing else broke meanwhile.
    """

    def __init__(
        self,
        nodes: list[Node],
        engine: Valkey | Shards,
        luck: random.Random,
        length: float,
        replaced: int,
        watched: str,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.losses = 0
        self.gone_after: list[float] = []
        self._nodes = nodes
        self._shards = engine if isinstance(engine, Shards) else None
        self._single = engine if isinstance(engine, Valkey) else None
        self._luck = luck
        self._length = length
        self._replaced = replaced
        self._watched = watched
        self._broken: list[Node] = []
        self._under_way = 0

    async def do(self, name: str) -> None:
        """Have one fault happen, and return when it is mended."""
        self.done[name] += 1
        self._under_way += 1
        try:
            await FAULTS[name](self)
        finally:
            self._under_way -= 1

    async def kill_node(self) -> None:
        """End a node as kill -9 does, and start it anew."""
        with self._one_node() as node:
            life = await life_of(node.port)
            node.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, life, node)
                await self._pause(1.0)
                node.launch()
                await node.ready()

    async def _watch(self, life: str, killed: Node) -> None:
        """See how long other nodes tell of the clients of one that was killed."""
        others = [node for node in self._nodes if node is not killed]
        start, before = trio.current_time(), sum(self.done.values())
        alone = self._under_way == 1
        with trio.move_on_after(4 * GONE_SECONDS * self._length):
            while await self._tells(self._luck.choice(others), life):  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(LOOK_SECONDS)
            if alone and before == sum(self.done.values()):
                self.gone_after.append(trio.current_time() - start)

    async def _tells(self, node: Node, life: str) -> bool:
        try:
            users = await present(node.port, self._watched)
        except LOST:
            return True
        return any(client.endswith(life) for clients in users.values() for client in clients)

    async def pause_node(self) -> None:
        """Stop a node where it is, and let it go on."""
        with self._one_node() as node:
            node.pause()
            try:
                await self._pause(self._luck.choice((3.0, 5.0, 12.0)))
            finally:
                node.resume()

    async def roll_nodes(self) -> None:
        """Replace one node after the other."""
        for node in self._luck.sample(self._nodes, self._replaced):
            while node in self._broken:  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(LOOK_SECONDS)
            with self._one_node(node):
                await node.replace()

    async def fail_over(self) -> None:
        """Kill one server of a cluster and have its replica take over, with what it has heard."""
        assert self._shards is not None
        self.losses += 1
        shard = self._luck.randrange(len(self._shards.primaries))
        await self._shards.fail_over(shard, 2.0 * self._length)

    @property
    def _engine(self) -> Valkey:
        assert self._single is not None
        return self._single

    async def restart_engine(self) -> None:
        """End the engine as kill -9 does, and start it with what it has written."""
        self._engine.kill()
        await self._pause(2.0)
        await trio.to_thread.run_sync(self._engine.start)

    async def empty_engine(self) -> None:
        """End the engine as kill -9 does, and start it with nothing."""
        self.losses += 1
        self._engine.kill()
        for path in self._engine.folder.glob("appendonlydir*"):
            shutil.rmtree(path)
        await self._pause(2.0)
        await trio.to_thread.run_sync(self._engine.start)

    async def rewind_engine(self) -> None:
        """End the engine as kill -9 does, and start it with what it had some seconds before."""
        self.losses += 1
        folder, kept = self._engine.folder / "appendonlydir", self._engine.folder / "kept"
        shutil.copytree(folder, kept)
        await self._pause(3.0)
        self._engine.kill()
        shutil.rmtree(folder)
        kept.rename(folder)
        await trio.to_thread.run_sync(self._engine.start)

    async def freeze_engine(self) -> None:
        """Stop the engine where it is, and let it go on."""
        self._engine.pause()
        try:
            await self._pause(4.0)
        finally:
            self._engine.resume()

    async def cut_link(self) -> None:
        """Break a node's connections to the engine, and each new one."""
        with self._one_node() as node:
            node.link.cut()
            await self._pause(3.0)
            node.link.heal()

    async def stall_link(self) -> None:
        """Have a node's connections to the engine let nothing through."""
        with self._one_node() as node:
            node.link.stall()
            await self._pause(6.0)
            node.link.heal()

    @contextmanager
    def _one_node(self, node: Node | None = None) -> Iterator[Node]:
        """Choose a node that nothing else is done to; there are more of them than faults."""
        free = [each for each in self._nodes if each not in self._broken]
        chosen = node or self._luck.choice(free)
        self._broken.append(chosen)
        try:
            yield chosen
        finally:
            self._broken.remove(chosen)

    async def _pause(self, seconds: float) -> None:
        await trio.sleep(seconds * self._length)


FAULTS: dict[str, Callable[[Faults], Awaitable[None]]] = {
    "kill -9 a node": Faults.kill_node,
    "stop and continue a node": Faults.pause_node,
    "replace the nodes one by one": Faults.roll_nodes,
    "kill -9 the engine": Faults.restart_engine,
    "stop and continue the engine": Faults.freeze_engine,
    "cut a link": Faults.cut_link,
    "stall a link": Faults.stall_link,
    REWIND: Faults.rewind_engine,
    "kill -9 the engine, all lost": Faults.empty_engine,
    FAIL_OVER: Faults.fail_over,
}
"""What can be done, by name."""

OF_NODES = tuple(FAULTS)[:3]
OF_THE_ENGINE = tuple(FAULTS)[3:-1]
OF_A_CLUSTER = (FAIL_OVER,)
