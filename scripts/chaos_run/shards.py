"""A cluster of three servers and a replica of each, which takes its place when it is killed."""

from __future__ import annotations

from contextlib import ExitStack

import trio

from tests.brokers.valkey import Cluster, Valkey

FAIL_OVER_SECONDS = 30.0
POLL_SECONDS = 0.1

LINK = "return string.match(redis.call('INFO', 'replication'), 'link_status:(%a+)') == 'up'"
IN_STEP = (("EVAL", LINK, "0"), ":1")
PRIMARY = (("ROLE",), "*3")
REPLICA = (("ROLE",), "*5")
"""What a server answers to a command, to its first line."""


class Shards:
    """The servers of a cluster; ``with`` starts them, and ends them in every case.

    Attributes:
        primaries: Those that hold the slots, by shard.
    """

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._stack = ExitStack()
        self.primaries: list[Valkey] = []
        self._replicas: list[Valkey] = []

    @property
    def url(self) -> str:
        """Where they are."""
        servers = [*self.primaries, *self._replicas]
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in servers)

    def __enter__(self) -> Shards:
        with ExitStack() as stack:
            self.primaries = list(stack.enter_context(self._cluster).servers)
            for shard in range(len(self.primaries)):
                replica = self._cluster.add_replica(shard)
                stack.push(replica.__exit__)
                self._replicas.append(replica)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    async def fail_over(self, shard: int, away: float) -> None:
        """Kill the server of a shard, have its replica take over, and start it as a replica.

        Args:
            away: Seconds for which it is away, after the replica has taken over.
        """
        old, new = self.primaries[shard], self._replicas[shard]
        await self._until(new, IN_STEP)
        old.kill()
        await self._until(new, PRIMARY)
        self.primaries[shard], self._replicas[shard] = new, old
        await trio.sleep(away)
        await trio.to_thread.run_sync(old.start)
        await self._until(old, REPLICA)

    async def _until(self, server: Valkey, state: tuple[tuple[str, ...], str]) -> None:
        words, answer = state
        with trio.fail_after(FAIL_OVER_SECONDS):
            while server.command(*words) != answer:  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(POLL_SECONDS)
