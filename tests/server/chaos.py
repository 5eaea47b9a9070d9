"""Clients whose connections are cut all the time, and the proof that they missed nothing.

`scripts/nothing-is-missed` is the long form.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from rooms import App, logs
from rooms.config import Settings
from rooms.serving import serve
from rooms.testing import Closed, TestClient

ROOM = "lobby"
THE_END = "the end"
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
CUT_AFTER_SENDING = 0.1
CUTS_PER_PUBLICATION = 0.2
SEND_AGAIN = 0.1
SECONDS_MORE = 100
"""What a run may take beyond its time; nothing waits for that long unless it is broken."""

LOST = (Closed, trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass(frozen=True)
class Plan:
    """How much is to happen: at least so many publications, for at least so many seconds."""

    clients: int
    publications: int
    seconds: float = 0
    seed: int = 1


@dataclass
class Summary:
    """What happened."""

    publications: int = 0
    sent_again: int = 0
    cuts: int = 0
    recoveries: int = 0
    missed: int = 0
    seconds: float = 0

    def __str__(self) -> str:
        return (
            f"{self.publications} publications and {self.sent_again} repeats, "
            f"{self.cuts} connections cut, {self.recoveries} recoveries of {self.missed} "
            f"publications in {self.seconds:.1f} s: everybody saw everything once, in one order"
        )


class Chaos:
    """What the clients share: luck, and what the room has said so far.

    Attributes:
        said: The payloads by their offsets, the first at 0, as whoever was first heard them.
        acknowledged: The offset that the publisher of a payload was told.
    """

    def __init__(self, plan: Plan, port: int) -> None:
        self.plan = plan
        self.port = port
        self.luck = random.Random(plan.seed)
        self.summary = Summary()
        self.said: list[str] = []
        self.acknowledged: dict[str, int] = {}
        self.travellers = [Traveller(self, number) for number in range(plan.clients)]
        self._until = trio.current_time() + plan.seconds
        self._busy = plan.clients

    async def run(self) -> None:
        """Let everybody in, and then have them speak until there was enough."""
        for traveller in self.travellers:
            await traveller.connect()
        start = trio.current_time()
        with trio.fail_after(self.plan.seconds + SECONDS_MORE):
            async with trio.open_nursery() as nursery:
                for traveller in self.travellers:
                    nursery.start_soon(traveller.run)
        self.summary.seconds = trio.current_time() - start
        self.summary.publications = len(self.said)
        self._check()

    @property
    def enough(self) -> bool:
        """Whether nobody needs to say more."""
        over = trio.current_time() >= self._until
        return over and len(self.acknowledged) >= self.plan.publications

    def done(self) -> bool:
        """Note that one more has said all that it wanted, and say whether it was the last."""
        self._busy -= 1
        return not self._busy

    def hear(self, offset: int, payload: str) -> None:
        """Note what one of them heard: the same as everybody else, or it is wrong."""
        if offset == len(self.said) + 1:
            self.said.append(payload)
            if self.chance(CUTS_PER_PUBLICATION):
                self.luck.choice(self.travellers).cut()
        assert self.said[offset - 1] == payload

    def chance(self, probability: float) -> bool:
        """Return true as often as that."""
        return self.luck.random() < probability

    def _check(self) -> None:
        assert len(set(self.said)) == len(self.said)
        assert {payload: n for n, payload in enumerate(self.said, 1)} == self.acknowledged
        assert all(each.offset == len(self.said) for each in self.travellers)


class Traveller:
    """A user who says things and hears everything, over as many connections as it takes.

    Attributes:
        offset: Of what it heard last; it has heard everything before, once.
    """

    def __init__(self, chaos: Chaos, number: int) -> None:
        self.chaos = chaos
        self.name = f"Traveller {number}"
        self.offset = 0
        self._epoch = ""
        self._client: TestClient | None = None

    async def run(self) -> None:
        """Say things until there is enough, and hear what others say until all have finished."""
        number = 0
        while not self.chaos.enough:
            number += 1
            await self._insist(self._publish, f"{self.name} says {number}")
        if self.chaos.done():
            await self._insist(self._publish, THE_END)
        await self._insist(self._hear_the_end)
        await self._hang_up()

    async def connect(self) -> None:
        """Connect, sign in and come back to the room, or come for the first time."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.chaos.port)
        self._client = client = TestClient(stream)
        await client.handshake()
        await client.welcome()
        await client.request(type="auth", name=self.name, secret="secret")
        since = [self._epoch, self.offset] if self._epoch else None
        reply = await client.request(type="join", room=ROOM, since=since)
        if since is None:
            self._epoch, self.offset = reply["position"]
        else:
            await self._catch_up(client, reply)

    def cut(self) -> None:
        """Cut its connection here and now, with what is under way, by a reset or a plain end."""
        if self._client is None:
            return
        stream = self._client.stream
        assert isinstance(stream, trio.SocketStream)
        if stream.socket.fileno() < 0:
            return
        if self.chaos.chance(0.5):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        stream.socket.close()
        self.chaos.summary.cuts += 1

    async def _insist(self, action: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do something, over as many connections as it takes."""
        while True:
            try:
                if self._client is None:
                    await self.connect()
                await action(*args)
            except LOST:
                await self._hang_up()
            else:
                return

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await trio.aclose_forcefully(client.stream)

    async def _catch_up(self, client: TestClient, reply: dict[str, Any]) -> None:
        assert reply["recovered"] is True, reply
        self.chaos.summary.recoveries += 1
        self._hear_missed(reply)
        while reply["more"]:
            message = await client.receive()
            if message["type"] != "presence":
                assert message["type"] == "missed", message
                self._hear_missed(reply := message)

    def _hear_missed(self, message: dict[str, Any]) -> None:
        self.chaos.summary.missed += len(message["missed"])
        for publication in message["missed"]:
            self._hear(publication)

    def _hear(self, publication: dict[str, Any]) -> None:
        """Take the next publication of the room: no other than the next."""
        assert publication["position"] == [self._epoch, self.offset + 1]
        self.offset += 1
        self.chaos.hear(self.offset, publication["payload"])

    async def _receive(self) -> dict[str, Any]:
        assert self._client is not None
        message = await self._client.receive()
        if message["type"] == "event":
            self._hear(message)
        assert message["type"] != "error", message
        return message

    async def _publish(self, payload: str) -> None:
        """Publish under a key of its own; whoever insists does so again, blindly."""
        await self._say(payload)
        if self.chaos.chance(CUT_AFTER_SENDING):
            self.cut()
        await self._acknowledged(payload)
        if self.chaos.chance(SEND_AGAIN):
            await self._say(payload)
            await self._acknowledged(payload)

    async def _say(self, payload: str) -> None:
        assert self._client is not None
        await self._client.send(
            type="event", event="say", room=ROOM, payload=payload, key=payload, id=payload
        )
        self.chaos.summary.sent_again += 1

    async def _acknowledged(self, payload: str) -> None:
        while (reply := await self._receive()).get("id") != payload:
            pass
        epoch, offset = reply["position"]
        assert epoch == self._epoch
        assert self.chaos.acknowledged.setdefault(payload, offset) == offset

    async def _hear_the_end(self) -> None:
        while self.chaos.said[self.offset - 1 : self.offset] != [THE_END]:
            await self._receive()


async def run(plan: Plan, **settings: Any) -> Summary:
    """Serve a room on a real port and have clients come, speak, be cut off and come back.

    Raises:
        AssertionError: Somebody missed something, or got it twice, or in another order.
    """
    chosen = Settings(
        port=0,
        http=False,
        history_messages=20_000,
        recovery_messages=20_000,
        recovery_bytes=2**23,
        **settings,
    )
    async with serve(App(relay=True, guests=True), chosen) as server:
        chaos = Chaos(plan, server.port)
        await chaos.run()
    chaos.summary.sent_again -= chaos.summary.publications
    return chaos.summary


def main(seconds: float = 20, seed: int = 1) -> None:
    """Run the long form and say what happened."""
    logs.configure("warning", "console")
    print(trio.run(run, Plan(clients=200, publications=5000, seconds=seconds, seed=seed)))


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]])
