"""Connections to any path, spoken to frame by frame."""

from __future__ import annotations

import json
from typing import Any

import trio
import trio.testing

from rooms.protocol.frames import TEXT
from rooms.server.door import Door
from rooms.testing import MemoryServer, TestClient, client_frame


async def connect(server: MemoryServer, path: str, headers: str = "") -> TestClient:
    """Return a client that nothing has been read for."""
    client = TestClient(server.open_stream())
    await client.handshake(path, headers)
    return client


async def stuck(server: MemoryServer, path: str, headers: str = "") -> TestClient:
    """Return a client on a line that holds nothing, so that what is sent to it waits."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    server.nursery.start_soon(Door(server.node).serve_stream, theirs, "stuck")
    client = TestClient(ours)
    await client.handshake(path, headers)
    return client


async def say(client: TestClient, text: str | dict[str, Any]) -> None:
    """Send a text, or an object in JSON."""
    await client.send_raw(client_frame(text if isinstance(text, str) else json.dumps(text), TEXT))


async def hear(client: TestClient) -> str:
    """Return the next message."""
    return (await client.message()).decode()


async def hear_json(client: TestClient) -> Any:
    """Return what the next message holds."""
    return json.loads(await client.message())


async def event(client: TestClient) -> tuple[str, Any]:
    """Return name and payload of the next message, which is one of zaptools."""
    message = await hear_json(client)
    return message["eventName"], message["payload"]
