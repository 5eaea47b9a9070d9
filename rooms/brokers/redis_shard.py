"""One server of the engine: what is sent to it, and what it pushes, over two connections."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import groupby
from typing import Literal, Protocol

import structlog
import trio
from coredis.exceptions import RedisError

from rooms.brokers.redis_calls import Call, Calls, Elsewhere
from rooms.brokers.redis_connection import open_pipeline, open_wire
from rooms.brokers.redis_scripts import SOUND
from rooms.brokers.redis_url import Address, RedisUrl
from rooms.brokers.redis_wire import TROUBLE, EngineError, Push, Wire, explain, pack
from rooms.core.groups import root_of

log = structlog.get_logger("rooms")

Verb = Literal["SUBSCRIBE", "SSUBSCRIBE", "PSUBSCRIBE"]

BACKOFF = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between two tries to connect; the last for ever."""

LATE_SECONDS = 1.0

CHANNELS = 500
"""The most channels that one command subscribes."""

_UNDO = {"SUBSCRIBE": "UNSUBSCRIBE", "SSUBSCRIBE": "SUNSUBSCRIBE", "PSUBSCRIBE": "PUNSUBSCRIBE"}
_SUBSCRIBED = (b"subscribe", b"ssubscribe", b"psubscribe")


class Deaf(Exception):
    """What was sent through the engine did not come back; the message may say why."""

    def __str__(self) -> str:
        return ": ".join(["what is published does not come back", *self.args])


FAULTS = (
    Deaf,
    Elsewhere,
    RedisError,
    *TROUBLE,
)
"""What a connection may end with; anything else ends the broker."""


class Ear(Protocol):
    """Hears one channel.  Both methods neither block nor raise."""

    def hear(self, data: bytes) -> None:
        """Take a message."""
        ...

    def confirmed(self) -> None:
        """Note that messages come from now on, although some may have been lost before."""
        ...


class Shard:
    """Keeps two connections to one server, for ever, and subscribes anew whenever they break.

    Args:
        find: Says where the server is now.
        sound: A channel that this server carries, for the test of the way through it.

    Attributes:
        problem: What is wrong for the moment, if anything is.
        why: What ended the connection last.
        counts: How often things went wrong, by their name.
        worked: Set once it has worked.
    """

    def __init__(
        self,
        url: RedisUrl,
        find: Callable[[], Awaitable[Address]],
        sound: str,
        counts: Counter[str],
    ) -> None:
        self.calls = Calls(counts)
        self.scope = trio.CancelScope()
        self.worked = trio.Event()
        self.counts = counts
        self.problem: str | None = "The broker is not connected yet."
        self.why = "no answer"
        self._url = url
        self._find = find
        self._ears: dict[bytes, tuple[Verb, Ear]] = {}
        self._left: Counter[bytes] = Counter()
        self._changes: list[tuple[str, bytes]] = []
        self._changed = trio.Event()
        self._is_open = False
        self._sound: bytes = f"{sound}:{secrets.token_hex(8)}".encode()
        self._sound_verb: Verb = "SSUBSCRIBE" if url.kind == "cluster" else "SUBSCRIBE"
        self._echo = trio.Event()
        self._hearing = trio.Event()
        self._failures = 0

    def listen(self, verb: Verb, channel: bytes, ear: Ear) -> None:
        """Have ``ear`` hear a channel from soon on; it is told from when on."""
        self._ears[channel] = (verb, ear)
        self._change(verb, channel)

    def unlisten(self, channel: bytes) -> None:
        """Undo `listen`; it need not have been done."""
        verb, _ = self._ears.pop(channel, (None, None))
        if verb is not None and self._is_open:
            self._left[channel] += 1
            self._change(_UNDO[verb], channel)

    def hears(self, channel: bytes) -> bool:
        """Whether `listen` was called for a channel."""
        return channel in self._ears

    async def run(self) -> None:
        """Be connected, for ever, until `scope` is cancelled."""
        with self.scope:
            while True:
                try:
                    await self._connected(await self._find())
                except* FAULTS as errors:
                    self._note(errors)
                finally:
                    self._is_open = False
                await trio.sleep(BACKOFF[min(self._failures, len(BACKOFF)) - 1])

    def _note(self, errors: BaseExceptionGroup[BaseException]) -> None:
        """Say what ended the connection, once for many failures in a row."""
        first = root_of(errors)
        self._failures += 1
        self.counts["failures"] += 1
        if isinstance(first, Deaf):
            self.counts["deaf"] += 1
        why = self.why = explain(first)
        self.problem = f"The broker is away: {why}. It is tried again."
        if self._failures == 1:
            log.warning("broker away", url=self._url.shown, error=why)

    async def _connected(self, address: Address) -> None:
        """Work with one server until something ends a connection."""
        async with AsyncExitStack() as stack:
            wire = await open_wire(self._url, address)
            stack.push_async_callback(wire.aclose)
            pipeline = await open_pipeline(self._url, address)
            stack.push_async_callback(pipeline.aclose)
            nursery = await stack.enter_async_context(trio.open_nursery())
            self._subscribe_anew()
            nursery.start_soon(self._read, wire)
            nursery.start_soon(self._write, wire)
            nursery.start_soon(self.calls.run, pipeline)
            nursery.start_soon(self._probe)

    # The channels.

    def _change(self, verb: str, channel: bytes) -> None:
        if self._is_open:
            self._changes.append((verb, channel))
            self._changed.set()

    def _subscribe_anew(self) -> None:
        self._is_open = True
        self._hearing = trio.Event()
        self._left.clear()
        self._changes = [(self._sound_verb, self._sound)]
        self._changes += [(verb, channel) for channel, (verb, _) in self._ears.items()]
        self._changed.set()

    async def _write(self, wire: Wire) -> None:
        """Send changes of what is subscribed: those of one tick together."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            changes, self._changes = self._changes, []
            for start in range(0, len(changes), CHANNELS):
                await wire.send(_commands(changes[start : start + CHANNELS]))

    async def _read(self, wire: Wire) -> None:
        while True:
            for value in await wire.receive():
                if isinstance(value, EngineError):
                    raise value
                if isinstance(value, Push):
                    self._pushed(value)

    def _pushed(self, push: Push) -> None:
        match push:
            case [b"message" | b"smessage", bytes(channel), bytes(data)]:
                self._heard(channel, data)
            case [b"pmessage", bytes(pattern), _, bytes(data)]:
                self._heard(pattern, data)
            case [kind, bytes(channel), _] if kind in _SUBSCRIBED:
                if channel == self._sound:
                    self._hearing.set()
                elif channel in self._ears:
                    self._ears[channel][1].confirmed()
            case [b"sunsubscribe" | b"unsubscribe" | b"punsubscribe", bytes(channel), _]:
                self._unsubscribed(channel)

    def _heard(self, channel: bytes, data: bytes) -> None:
        if channel == self._sound:
            self._echo.set()
        elif channel in self._ears:
            self._ears[channel][1].hear(data)

    def _unsubscribed(self, channel: bytes) -> None:
        """Note an end of a subscription: ours, or one that has moved to another server."""
        if self._left[channel] > 1:
            self._left[channel] -= 1
        elif channel in self._left:
            del self._left[channel]
        elif channel in self._ears:
            raise Elsewhere("it has ended a subscription")

    # The test of the way through the engine.

    async def _probe(self) -> None:
        """Send something through the engine and wait for it, again and again."""
        seconds = self._url.options.probe
        while True:
            self._echo = trio.Event()
            with trio.move_on_after(seconds):
                await self._hearing.wait()
                await self._make_sound()
                await self._echo.wait()
            with trio.move_on_after(min(seconds, LATE_SECONDS)):
                await self._echo.wait()  # it may be here already, and this process late
            if not self._echo.is_set():
                raise Deaf
            if self._failures:
                log.info("broker back", url=self._url.shown)
            self._failures, self.problem = 0, None
            self.worked.set()
            await trio.sleep(seconds)

    async def _make_sound(self) -> None:
        """Publish what is to come back.

        Raises:
            Deaf: The engine refuses that.
        """
        command = "SPUBLISH" if self._sound_verb == "SSUBSCRIBE" else "PUBLISH"
        call, landed = Call(SOUND, [self._sound.decode()], [command, b"?"]), trio.Event()
        call.landed = landed.set
        try:
            await self.calls.put(call)
            await landed.wait()
        finally:
            call.give_up()  # the next connection makes one of its own
        if call.refusal:
            raise Deaf(call.refusal)


def _commands(changes: list[tuple[str, bytes]]) -> bytes:
    """Return the commands for some changes; channels of several slots need one each."""
    data = b""
    for verb, group in groupby(changes, key=lambda change: change[0]):
        channels = [channel for _, channel in group]
        if verb in ("SSUBSCRIBE", "SUNSUBSCRIBE"):
            data += b"".join(pack(verb, channel) for channel in channels)
        else:
            data += pack(verb, *channels)
    return data
