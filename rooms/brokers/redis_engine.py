"""The engine as a whole: one server, the one that Sentinels name, or those of a cluster."""

from __future__ import annotations

from binascii import crc_hqx
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from rooms.brokers.redis_calls import AWAY, UNSURE, Call
from rooms.brokers.redis_connection import ask, tls_context
from rooms.brokers.redis_names import Names
from rooms.brokers.redis_shard import Ear, Shard, Verb
from rooms.brokers.redis_url import Address, RedisUrl
from rooms.brokers.redis_wire import TROUBLE, Value, explain
from rooms.errors import ConfigError, Unavailable

SLOTS = 16384
FIND_SECONDS = 3.0
RETRY_SECONDS = 0.1
START_SECONDS = 1.0

Range = tuple[int, int, Address]
"""The first and the last of some slots, and which server has them."""


def slot_of(name: str | bytes) -> int:
    """Return the slot of a key or channel: that of its hash tag, if it has one."""
    data = name.encode() if isinstance(name, str) else name
    _, brace, rest = data.partition(b"{")
    tag, end, _ = rest.partition(b"}")
    return crc_hqx(tag if brace and end and tag else data, 0) % SLOTS


class Engine:
    """Runs scripts and hears channels, wherever in the engine they are.

    Args:
        patience: Seconds for which a call waits for an engine that is away.

    Attributes:
        counts: How often things went wrong, by their name.
    """

    def __init__(self, url: RedisUrl, patience: float) -> None:
        self.url = url
        self.names = Names(url.prefix)
        self.patience = patience
        self.counts: Counter[str] = Counter()
        self._shards: dict[Address | None, Shard] = {}
        self._ranges: list[Range] = []
        self._ears: dict[bytes, tuple[Verb, Ear]] = {}
        self._nursery: trio.Nursery | None = None
        self._known: list[Address] = list(url.addresses)
        self._finding = trio.Lock()

    @property
    def sharded(self) -> bool:
        """Whether it is a cluster."""
        return self.url.kind == "cluster"

    @property
    def problem(self) -> str | None:
        """What is wrong for the moment, if anything is."""
        problems = (shard.problem for shard in self._shards.values())
        return next((problem for problem in problems if problem is not None), None)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected while the block runs.

        Raises:
            ConfigError: It cannot be reached for as long as the patience lasts, or its file of
                certificates cannot be used.
        """
        if self.url.tls:
            tls_context(self.url)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                nursery.start_soon(self._fail_overdue)
                why = await self._start()
                if why is None:
                    yield
            finally:
                self._shards.clear()
                nursery.cancel_scope.cancel()
        if why is not None:
            raise ConfigError(f"The broker {self.url.shown} cannot be used: {why}")

    def begin(self, call: Call) -> None:
        """Have a script run; the call's ``landed`` is called when that is over.

        Raises:
            Unavailable: The engine is not connected.
            trio.WouldBlock: Too many calls are waiting.
        """
        call.due = trio.current_time() + self.patience
        self._shard_for(call).calls.put_nowait(call)

    async def call(self, call: Call) -> Any:
        """Have a script run and return what came out.

        Raises:
            Unavailable: The engine is away, or refuses it; or it went away while the script was
                under way, and the message says so where that may have been run.
        """
        landed = trio.Event()
        call.landed = landed.set
        with trio.move_on_after(self.patience):
            try:
                await self._shard_for(call).calls.put(call)
                await landed.wait()
                return call.result()
            finally:
                call.give_up()
        self.counts["given_up"] += 1
        raise Unavailable(UNSURE if call.unsure else AWAY)

    def listen(self, verb: Verb, channel: str, ear: Ear) -> None:
        """Have ``ear`` hear a channel from soon on; it is told from when on."""
        name = channel.encode()
        self._ears[name] = (verb, ear)
        self._home(verb, name).listen(verb, name, ear)

    def unlisten(self, channel: str) -> None:
        """Undo `listen`; it need not have been done."""
        name = channel.encode()
        verb, _ = self._ears.pop(name, (None, None))
        if verb is not None:
            self._home(verb, name).unlisten(name)

    async def _start(self) -> str | None:
        """Connect to all there is and wait until it works; returns why it does not."""
        why = "no answer"
        with trio.move_on_after(max(self.patience, START_SECONDS)):
            while not self._shards:
                try:
                    await self._place()
                except TROUBLE as error:
                    why = explain(error)
                    await trio.sleep(RETRY_SECONDS)
            while shard := self._not_working():
                await shard.worked.wait()
            return None
        broken = (shard.why for shard in self._shards.values() if shard.problem is not None)
        return next(broken, why)

    def _not_working(self) -> Shard | None:
        shards = self._shards.values()
        return next((shard for shard in shards if not shard.worked.is_set()), None)

    async def _fail_overdue(self) -> None:
        """Fail what was begun and has waited for too long."""
        while True:
            now = trio.current_time()
            due = [shard.calls.fail_overdue(now) for shard in self._shards.values()]
            await trio.sleep_until(min([*due, now + self.patience]))

    # Where what is.

    def _shard_for(self, call: Call) -> Shard:
        if not self._shards:
            raise Unavailable("The server is stopping; try again later.")
        return self._shard_of(call.keys[0])

    def _shard_of(self, name: str | bytes) -> Shard:
        slot = slot_of(name) if self._ranges else 0
        for low, high, address in self._ranges:
            if low <= slot <= high:
                return self._shards[address]
        return next(iter(self._shards.values()))

    def _home(self, verb: Verb, channel: bytes) -> Shard:
        """Return the shard of a channel; where any would do it is the first."""
        if verb == "SSUBSCRIBE":
            return self._shard_of(channel)
        return next(iter(self._shards.values()))

    async def _place(self) -> None:
        """Find the servers, and have everything where it belongs."""
        if not self.sharded:
            self._add(None, self.names.shared("sound"))
            return
        async with self._finding:
            with trio.fail_after(FIND_SECONDS):
                ranges = await self._slots()
            if ranges != self._ranges:
                self._move(ranges)

    def _add(self, address: Address | None, sound: str) -> None:
        async def find() -> Address:
            return await self._find(address)

        shard = self._shards[address] = Shard(self.url, find, sound, self.counts)
        assert self._nursery is not None
        self._nursery.start_soon(self._run, shard)

    async def _run(self, shard: Shard) -> None:
        """Run a shard until it is dropped, and have others do what was under way."""
        await shard.run()
        shard.worked.set()  # nobody is to wait for it any more
        self._pass_on(shard.calls.take_back())

    def _move(self, ranges: list[Range]) -> None:
        """Take over where a cluster's slots are now."""
        old = self._shards
        self._ranges, self._shards = ranges, {}
        for low, _, address in ranges:
            if address in self._shards:
                continue
            if address in old:
                self._shards[address] = old.pop(address)
            else:
                self._add(address, self._sound(low))
        self._known = [*self._shards, *self.url.addresses]  # type: ignore[list-item]
        for shard in old.values():
            shard.scope.cancel()
        self._reroute([*old.values(), *self._shards.values()])

    def _reroute(self, shards: Sequence[Shard]) -> None:
        for name, (verb, ear) in self._ears.items():
            home = self._home(verb, name)
            for shard in shards:
                if shard is not home:
                    shard.unlisten(name)
            if not home.hears(name):
                home.listen(verb, name, ear)
        self._pass_on([call for shard in shards for call in shard.calls.take_back()])

    def _pass_on(self, calls: Sequence[Call]) -> None:
        """Have calls done by the shards that they belong to now."""
        for call in reversed(calls):
            if not call.given_up:
                self._shard_for(call).calls.put_first([call])

    def _sound(self, slot: int) -> str:
        """Return a channel that is in a slot."""
        for number in range(SLOTS * 20):
            if slot_of(str(number)) == slot:
                return self.names.room("sound", str(number))
        return self.names.shared("sound")

    # Finding servers.

    async def _find(self, address: Address | None) -> Address:
        """Return where a shard's server is now.

        Raises:
            TROUBLE: It cannot be found.
        """
        if self.url.kind == "single":
            return self.url.addresses[0]
        if self.url.kind == "sentinel":
            with trio.fail_after(FIND_SECONDS):
                return await self._ask_sentinels()
        await self._place()
        assert address is not None
        return address

    async def _ask_sentinels(self) -> Address:
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.url.service)
        unknown = f"the Sentinels know no {self.url.service!r}"
        match await self._ask_any(self.url.addresses, words, unknown, login=False):
            case _, [bytes(host), bytes(port)]:
                return host.decode(), int(port)
        raise OSError(unknown)

    async def _slots(self) -> list[Range]:
        """Ask the cluster where its slots are."""
        nothing = "the cluster has no slots yet"
        asked, answer = await self._ask_any(self._known, ("CLUSTER", "SLOTS"), nothing)
        if not isinstance(answer, list):
            raise OSError(nothing)
        entries: list[Any] = answer
        return [_range(entry, asked) for entry in entries if len(entry) > 2]

    async def _ask_any(
        self, addresses: Sequence[Address], words: Sequence[str], empty: str, *, login: bool = True
    ) -> tuple[Address, Value]:
        """Return the first answer to a command that is not empty, and whose it is.

        Args:
            empty: What it means if the last answer is.

        Raises:
            TROUBLE: Nobody has answered.
        """
        why: Exception = OSError(empty)
        for address in dict.fromkeys(addresses):
            try:
                answer = await ask(self.url, address, *words, login=login)
            except TROUBLE as error:
                why = error
                continue
            if answer:
                return address, answer
            why = OSError(empty)
        raise why


def _range(entry: Any, asked: Address) -> Range:
    host = entry[2][0]
    return int(entry[0]), int(entry[1]), ((host or asked[0].encode()).decode(), int(entry[2][1]))
