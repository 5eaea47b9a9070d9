"""`rooms.transports.replay`: a stream whose first bytes have been read already."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from rooms.transports.replay import ReplayStream


@pytest.mark.parametrize("size", [None, 3, 1000])
async def test_the_head_comes_again_and_then_what_follows(size: int | None) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = ReplayStream(theirs, b"the head")
    received = b""
    while received != b"the head":
        part = await stream.receive_some(size)
        assert 0 < len(part) <= (size or 8)
        received += part
    await ours.send_all(b"the rest")
    assert await stream.receive_some(size) == b"the rest"[:size]


async def test_all_else_is_the_inner_streams() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = ReplayStream(theirs, b"")
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"answer")
    assert await ours.receive_some() == b"answer"
    await stream.send_eof()
    assert await ours.receive_some() == b""
    assert stream.send_stream is theirs.send_stream
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await theirs.receive_some()


async def test_a_stream_that_cannot_be_closed_by_half_stays_open() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()

    class Whole(trio.abc.Stream):
        """A stream without ``send_eof``."""

        send_all = theirs.send_all
        wait_send_all_might_not_block = theirs.wait_send_all_might_not_block
        receive_some = theirs.receive_some
        aclose = theirs.aclose

    await ReplayStream(Whole(), b"").send_eof()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, b"still open")
        assert await ours.receive_some() == b"still open"
