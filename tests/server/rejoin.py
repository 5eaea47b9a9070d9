"""What several tests of recovery do: publish numbers, come back, and see what was told."""

from __future__ import annotations

from typing import Any

from rooms.testing import TestClient

ROOM = "lobby"


async def publish(client: TestClient, count: int, first: int = 1) -> Any:
    """Have a member publish numbers in the room; returns the position of the last."""
    for number in range(first, first + count):
        reply = await client.event("say", ROOM, number)
    return reply["position"]


async def rejoin(client: TestClient, since: Any, **fields: Any) -> dict[str, Any]:
    """Join the room as one who has been there and return the reply."""
    return await client.request(type="join", room=ROOM, since=since, **fields)


def numbers(publications: list[dict[str, Any]]) -> list[int]:
    """Return what was published, once it is sure that the positions count up by one."""
    offsets = [each["position"][1] for each in publications]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets))) if offsets else True
    assert len({each["position"][0] for each in publications}) <= 1
    assert {each["room"] for each in publications} <= {ROOM}
    return [each["payload"] for each in publications]


async def all_missed(client: TestClient, reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a reply says was missed, with the frames that it announces.

    Nothing else of the room may come between them.
    """
    assert reply["recovered"] is True
    missed, more = list(reply["missed"]), reply["more"]
    while more:
        frame = await client.receive()
        if frame["type"] != "presence":
            assert (frame["type"], frame["room"]) == ("missed", ROOM)
            assert frame["missed"]
            missed, more = missed + frame["missed"], frame["more"]
    return missed


async def events_up_to(client: TestClient, number: int) -> list[int]:
    """Return the numbers of the live events up to one of them."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["payload"] != number:
        events.append(await client.receive_type("event"))
    return numbers(events)
