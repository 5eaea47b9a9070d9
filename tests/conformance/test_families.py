"""Every family of cases against the whole server: what comes back is what must, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from rooms.protocol.frames import CLOSE
from rooms.testing import Closed, Frame, MemoryServer, TestClient, client_frame, in_memory
from tests.conformance.cases import FAMILIES, INVALID_TEXT, LIMIT, Case, first
from tests.conformance.echo_server import OWN_PATH, PATH, SETTINGS, echo_app
from tests.conformance.utf8 import INVALID, VALID, is_utf8, utf8

BOTH = pytest.mark.parametrize("path", [PATH, OWN_PATH], ids=["rooms", "own endpoint"])

SECONDS = 5
"""What one case may take in virtual time; nothing waits for that long unless it is broken."""


@asynccontextmanager
async def echoing() -> AsyncIterator[MemoryServer]:
    """Run an echo over memory streams while the block runs."""
    async with in_memory(echo_app(), replace(SETTINGS, message_bytes=LIMIT)) as server:
        yield server


async def connect(server: MemoryServer, path: str) -> TestClient:
    """Return a client of the echo."""
    client = TestClient(server.open_stream())
    await client.handshake(path)
    return client


async def send(client: TestClient, case: Case) -> None:
    """Send what a case sends, in its steps, as far as the server takes it."""
    step = case.step or len(case.sent)
    with contextlib.suppress(trio.BrokenResourceError):
        for start in range(0, len(case.sent), step):
            await client.send_raw(case.sent[start : start + step])
            if step == 1:
                await trio.testing.wait_all_tasks_blocked()


async def answers(client: TestClient) -> list[Frame]:
    """Return what the server sends until its end; its Close frame must be the last."""
    frames: list[Frame] = []
    try:
        while True:
            frames.append(await client.frame())
            if frames[-1].opcode == CLOSE:
                await client.send_raw(client_frame(frames[-1].payload[:2], CLOSE))
    except (Closed, trio.BrokenResourceError):
        return frames


async def play(server: MemoryServer, case: Case, path: str) -> tuple[list[Frame], list[Frame], int]:
    """Play a case; return the messages, the pongs and the close code that came back."""
    client = await connect(server, path)
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client, case)
            *frames, goodbye = await answers(client)
    assert goodbye.opcode == CLOSE
    await trio.aclose_forcefully(client.stream)
    return *_apart(frames), goodbye.code


def _apart(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    messages = [frame for frame in frames if frame.opcode < CLOSE]
    return messages, [frame for frame in frames if frame.opcode > CLOSE]


async def check(cases: list[Case], path: str) -> None:
    """Play cases, each on a connection of its own, and tell of all that go wrong."""
    wrong = {}
    async with echoing() as server:
        for case in cases:
            messages, pongs, code = await play(server, case, path)
            expected = (*_apart(list(case.answers)), case.code)
            if (messages, pongs, code) != expected:
                wrong[case.name] = (messages, pongs, code)
    assert wrong == {}


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_family_is_answered_as_it_must_be(
    family: str, path: str, autojump_clock: trio.testing.MockClock
) -> None:
    await check(FAMILIES[family](), path)


@BOTH
async def test_utf_8_is_told_from_what_is_not_wherever_it_is_cut(
    path: str, autojump_clock: trio.testing.MockClock
) -> None:
    await check(utf8(), path)


@BOTH
async def test_what_cannot_become_utf_8_any_more_is_refused_before_the_message_ends(
    path: str, autojump_clock: trio.testing.MockClock
) -> None:
    case = Case("6.4", first(b"\xce\xba\xf4\x90\x80\x80"), code=INVALID_TEXT)
    async with echoing() as server:
        assert await play(server, case, path) == ([], [], INVALID_TEXT)


async def test_a_whole_frame_is_judged_when_it_is_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    frame = client_frame(b"\xff" * 100)
    async with echoing() as server:
        client = await connect(server, PATH)
        await client.send_raw(frame[:-1])
        await trio.testing.wait_all_tasks_blocked()
        await client.send_raw(frame[-1:])
        assert (await client.closing()).code == INVALID_TEXT


def test_the_lists_of_utf_8_are_what_they_say() -> None:
    assert all(map(is_utf8, VALID.values()))
    assert not any(map(is_utf8, INVALID.values()))


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for make in (*FAMILIES.values(), utf8) for case in make()]
    assert len(set(names)) == len(names)
