"""What nodes share beside publications, on Redis or Valkey.

Everything is one script at one key, so it works in a cluster too, and what is sent in one moment
travels in one pipeline.  All keys expire: nothing is left when nobody keeps it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from rooms.brokers.peers import (
    HOLD_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    Change,
    Hear,
    Held,
    Lease,
    Missed,
    Peers,
)
from rooms.brokers.redis_calls import Call, as_it_is
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_peer_scripts import CLAIM, HELD, HOLD, JOIN, KEEP, LEAVE, RELEASE, RENEW
from rooms.brokers.redis_scripts import TELL, Script
from rooms.brokers.redis_shard import Verb
from rooms.errors import ConfigError, Unavailable

HOLD_MS = int(HOLD_SECONDS * 1000)
LEASE_MS = int(LEASE_SECONDS * 1000)
NUMBER = b""
"""The field of a place that holds a number; no client is called that."""


class _Ear:
    """Hears a channel; the engine tells it whenever it may have missed something."""

    def __init__(self, hear: Hear, missed: Missed) -> None:
        self.hear = hear
        self._missed = missed
        self.listening = trio.Event()

    def confirmed(self) -> None:
        self._missed()
        self.listening.set()


class RedisPeers(Peers):
    """One node's share of an engine that its broker has opened.

    Args:
        ahead: Seconds by which the engine's time is taken to be later than it is, for tests.
    """

    def __init__(self, engine: Engine, *, ahead: Callable[[], float] = lambda: 0.0) -> None:
        self._engine = engine
        self._names = engine.names
        self._ahead = ahead
        self._node = ""
        self._leases = [self._names.shared("{nodes}:leases"), self._names.shared("{nodes}:infos")]

    @asynccontextmanager
    async def open(self, node: str, hear: Hear, missed: Missed) -> AsyncIterator[None]:
        self._node = node
        ears = {channel: _Ear(hear, missed) for channel in (self._channel(), self._channel(node))}
        verb: Verb = "SSUBSCRIBE" if self._engine.sharded else "SUBSCRIBE"
        for channel, ear in ears.items():
            self._engine.listen(verb, channel, ear)
        try:
            with trio.move_on_after(self._engine.patience) as waiting:
                for ear in ears.values():
                    await ear.listening.wait()
            if waiting.cancelled_caught:
                raise ConfigError("The broker does not pass on what nodes tell each other.")
            yield
        finally:
            for channel in ears:
                self._engine.unlisten(channel)

    async def join(self, info: bytes) -> dict[str, Lease]:
        listed: dict[str, Lease] = await self._call(JOIN, self._leases, self._lease(info), _listed)
        return listed

    async def renew(self, info: bytes) -> dict[str, Lease] | None:
        with trio.move_on_after(RENEW_SECONDS):
            listed: dict[str, Lease] | None
            listed = await self._call(RENEW, self._leases, self._lease(info), _listed_if_any)
            return listed
        raise Unavailable("The server's broker is away for the moment.")

    async def leave(self) -> None:
        await self._call(LEAVE, self._leases, [self._node])

    async def tell(self, message: bytes, node: str | None = None) -> None:
        command = "SPUBLISH" if self._engine.sharded else "PUBLISH"
        await self._call(TELL, [self._channel(node)], [command, message])

    async def hold(self, number: int, changes: Sequence[Change]) -> None:
        await self._call_all([self._hold(number, change) for change in changes])

    async def held(self, places: Sequence[tuple[str, str]]) -> list[Held]:
        return await self._call_all(
            [Call(HELD, [self._place(room, node)], [], read=_held) for room, node in places]
        )

    async def keep(self, rooms: Sequence[str]) -> list[str]:
        calls = [Call(KEEP, [self._place(room, self._node)], [HOLD_MS]) for room in rooms]
        kept = await self._call_all(calls)
        return [room for room, found in zip(rooms, kept, strict=True) if not found]

    async def claim(self, name: str, secret: str, value: str, nodes: Sequence[str]) -> str | None:
        args: list[str | bytes | int] = [self._node, secret, value, HOLD_MS, *nodes]
        found: str | None = await self._call(CLAIM, [self._guest(name)], args, _text_if_any)
        return found

    async def release(self, name: str) -> None:
        await self._call(RELEASE, [self._guest(name)], [self._node])

    # Names.

    def _channel(self, node: str | None = None) -> str:
        return self._names.shared("nodes" if node is None else f"node:{node}")

    def _place(self, room: str, node: str) -> str:
        return self._names.room(f"p:{node}", room)

    def _guest(self, name: str) -> str:
        return self._names.shared(f"guest:{name}")

    # Calls.

    def _lease(self, info: bytes) -> list[str | bytes | int]:
        return [self._node, info, LEASE_MS, int(self._ahead() * 1000), HOLD_MS]

    def _hold(self, number: int, change: Change) -> Call:
        gone = [client for client, entry in change.entries.items() if entry is None]
        args: list[str | bytes | int] = [number, HOLD_MS, int(change.whole), len(gone), *gone]
        for client, entry in change.entries.items():
            if entry is not None:
                args += [client, entry]
        return Call(HOLD, [self._place(change.room, self._node)], args)

    async def _call(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
        read: Callable[[Any], Any] = as_it_is,
    ) -> Any:
        return await self._engine.call(Call(script, keys, args, read=read))

    async def _call_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return what came out of each call; they are made at the same time."""
        failed: list[Unavailable] = []

        async def one(call: Call) -> None:
            try:
                await self._engine.call(call)
            except Unavailable as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(one, call)
        if failed:
            raise failed[0]
        return [call.result() for call in calls]


def _listed(found: list[Any]) -> dict[str, Lease]:
    """Return the nodes that are listed; what is no node's name is one that nobody hears from."""
    now, renewed, infos = found
    told = dict(zip(infos[::2], infos[1::2], strict=True))
    seen = zip(renewed[::2], renewed[1::2], strict=True)
    leases = {node: max(0.0, (now - float(at)) / 1000) for node, at in seen}
    return {
        node.decode("utf-8", "replace"): Lease(told.get(node, b""), age)
        for node, age in leases.items()
    }


def _listed_if_any(found: list[Any] | None) -> dict[str, Lease] | None:
    return None if found is None else _listed(found)


def _text_if_any(found: bytes | None) -> str | None:
    return None if found is None else found.decode()


def _held(found: list[bytes]) -> Held:
    entries = dict(zip(found[::2], found[1::2], strict=True))
    number = int(entries.pop(NUMBER, b"0"))
    named = {client.decode("utf-8", "replace"): entry for client, entry in entries.items()}
    return Held(number, named)
