"""Clients that come back to another node, whatever happens, and note all that they are told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import trio

from rooms.testing import Closed, Refused, TestClient
from scripts.chaos_run.record import Record, Stay

ANSWER_SECONDS = 12.0
"""What a server may take to answer, whether its engine is there or not; then another is tried."""

SILENCE_SECONDS = 3.0
"""After so long a client asks whether the server is there."""

RETRY_SECONDS = 2.0
"""After so long a publication is sent again that was not acknowledged."""

LOST = (
    Closed,
    Refused,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
)


class Member:
    """A client of one room, over as many connections as it takes.

    Args:
        ports: Where the nodes are.
        pause: Seconds between two publications; None for one that only listens.

    Attributes:
        id: Of its connection, while it is a member by it.
        stays: What it heard without a gap, each time.
        talks: Whether it has more to say.
    """

    def __init__(
        self,
        name: str,
        room: str,
        record: Record,
        ports: Sequence[int],
        luck: random.Random,
        pause: float | None,
    ) -> None:
        self.name = name
        self.room = room
        self.id: str | None = None
        self.stays: list[Stay] = []
        self.talks = pause is not None
        self._record = record
        self._ports = ports
        self._luck = luck
        self._pause = pause or 1.0
        self._number = 0
        self._acknowledged = 0
        self._sent_at = 0.0

    @property
    def settled(self) -> bool:
        """Whether all that it has said is acknowledged."""
        return self._acknowledged == self._number

    @property
    def position(self) -> tuple[str, int] | None:
        """How far it has heard."""
        return (self.stays[-1].epoch, self.stays[-1].last) if self.stays else None

    async def live(self) -> None:
        """Be connected, again and again, for ever."""
        while True:
            try:
                await self._connected(self._luck.choice(self._ports))
            except* LOST:
                self._record.counts["connections lost"] += 1
            self.id = None
            await trio.sleep(self._luck.uniform(0.1, 0.6))

    async def _connected(self, port: int) -> None:
        with trio.fail_after(ANSWER_SECONDS):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            client = TestClient(stream)
            with trio.fail_after(ANSWER_SECONDS):
                await client.handshake()
                await client.welcome()
            await self._ask(client, type="auth", name=self.name, secret=self.name)
            await self._join(client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._talk, client)
                await self._listen(client)
        finally:
            self.id = None
            await trio.aclose_forcefully(stream)

    async def _ask(self, client: TestClient, **fields: Any) -> dict[str, Any]:
        """Return the reply to a command; it is sent again while the engine is away."""
        while True:
            with trio.fail_after(ANSWER_SECONDS):
                reply = await client.request(**fields)
            if reply["type"] == "reply":
                return reply
            self._note_error(reply)
            await trio.sleep(reply.get("retry_after", 1.0))

    def _note_error(self, error: dict[str, Any]) -> None:
        if error["code"] == "unavailable":
            self._record.counts["unavailable"] += 1
        else:
            self._record.trouble(f"{self.name} of {self.room} was told {error}")

    async def _join(self, client: TestClient) -> None:
        since = None if self.position is None else list(self.position)
        reply = await self._ask(client, type="join", room=self.room, since=since)
        self.id = client.id
        if since is None:
            self._begin(reply["position"], "joined")
        elif reply["recovered"] is True:
            self._record.counts["recoveries"] += 1
            self._take_all(reply["missed"])
        else:
            self._record.counts["gaps told by a reply"] += 1
            self._begin(reply["position"], reply["reason"])

    def _begin(self, position: list[Any], why: str) -> None:
        epoch, offset = position
        self.stays.append(Stay(epoch, offset, offset, why))

    async def _listen(self, client: TestClient) -> None:
        """Take whatever comes, and lose patience with a server that does not answer."""
        asked = False
        while True:
            with trio.move_on_after(ANSWER_SECONDS if asked else SILENCE_SECONDS) as waiting:
                message = await client.receive()
            if not waiting.cancelled_caught:
                asked = False
                self._handle(message)
            elif asked:
                raise Closed(1006, "the server is silent")
            else:
                asked = True
                await client.send(type="ping")

    def _handle(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "event"}:
                self._take_all([message])
            case {"type": "missed", "missed": missed}:
                self._take_all(missed)
            case {"type": "dropped", "position": position}:
                self._record.counts["gaps told to members"] += 1
                self._begin(position, "dropped")
            case {"type": "reply", "id": str(name), "position": position}:
                self._note_reply(name, position)
            case {"type": "error"}:
                self._note_error(message)
            case {"type": "left"}:
                self._record.trouble(f"{self.name} was taken out of its room: {message}")

    def _take_all(self, publications: list[dict[str, Any]]) -> None:
        """Take the next publications of the room: no others than the next."""
        stay = self.stays[-1]
        for each in publications:
            epoch, offset = each["position"]
            if (epoch, offset) != (stay.epoch, stay.last + 1):
                where = f"{each['position']} after {[stay.epoch, stay.last]}"
                self._record.trouble(f"{self.name} of {self.room} was told {where}")
            stay.last = offset
            self._record.hear(self.room, each["position"], each["payload"])

    # What it says.

    async def _talk(self, client: TestClient) -> None:
        """Publish the next thing, or the last one again if nobody knows whether it was taken."""
        try:
            if not self.settled:
                await self._publish(client)
            while True:
                await trio.sleep(self._pause * self._luck.uniform(0.5, 1.5))
                if not self.settled:
                    if trio.current_time() > self._sent_at + RETRY_SECONDS:
                        await self._publish(client)
                elif self.talks:
                    self._number += 1
                    await self._publish(client)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.sleep_forever()  # whoever listens notices, too

    async def _publish(self, client: TestClient) -> None:
        self._sent_at = trio.current_time()
        self._record.counts["publications sent"] += 1
        await client.send(
            type="event",
            event="say",
            room=self.room,
            payload=f"{self.name} says {self._number}",
            id=f"say {self._number}",
            key=str(self._number),
        )

    def _note_reply(self, name: str, position: list[Any]) -> None:
        number = int(name.removeprefix("say "))
        self._record.acknowledge(self.room, f"{self.name} says {number}", position)
        if number == self._number and not self.settled:
            self._acknowledged = number
            self._record.counts["acknowledged"] += 1


async def present(port: int, room: str) -> dict[str, set[str]]:
    """Return who is in a room, as a node tells it: the connections of each user.

    Raises:
        LOST: The node is not there.
    """
    with trio.fail_after(ANSWER_SECONDS):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            client = TestClient(stream)
            await client.handshake()
            await client.welcome()
            await client.join(room)
            users: dict[str, set[str]] = {}
            after: str | None = None
            while True:
                page = await client.request(type="presence", room=room, after=after)
                for user, entries in page["presence"].items():
                    users[user] = {entry["client"] for entry in entries}
                    after = user
                if not page.get("more"):
                    break
            await client.close()
        finally:
            await trio.aclose_forcefully(stream)
    users.pop(client.id, None)
    return users


async def life_of(port: int) -> str:
    """Return what the ids of all clients of a node end with.

    Raises:
        LOST: The node is not there.
    """
    with trio.fail_after(ANSWER_SECONDS):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            client = TestClient(stream)
            await client.handshake()
            await client.welcome()
            await client.close()
        finally:
            await trio.aclose_forcefully(stream)
    return client.id.partition("-")[2]
