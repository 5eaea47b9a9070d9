"""`rooms.transports.stream`: whole messages go to the session, the rest to trio-websocket."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from rooms.protocol.frames import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame
from rooms.testing import client_close, client_frame
from rooms.transports.stream import LATE_FRAMES, SLOW_BYTES, FrameStream
from tests.transports.fakes import FakeLink, FakeReceiver, FakeWriter

HEAD = b"GET /ws HTTP/1.1\r\n\r\n"
LIMIT = 100_000
FIRST = client_frame("a", fin=False)
LAST = client_frame("b", CONTINUATION)


class Attached:
    """A stream that sorts, with what it sorts for."""

    def __init__(self, *, watchable: bool, limit: int = 100) -> None:
        self.link = FakeLink(watchable=watchable)
        self.receiver = FakeReceiver(limit)
        self.writer = FakeWriter()
        self.calls = 0
        self.stream = FrameStream(self.link, LIMIT)
        self.stream.attach(self.receiver, self.writer, self._call)
        self.slow: list[bytes] = []

    def _call(self) -> None:
        self.calls += 1

    async def read(self) -> None:
        """Read the slow lane to its end, as trio-websocket does."""
        while data := await self.stream.receive_some():
            self.slow.append(data)
        self.slow.append(b"")


@pytest.fixture(params=[False, True], ids=["read", "watched"])
def made(request: pytest.FixtureRequest) -> bool:
    """Return whether the link calls, instead of being read."""
    watchable: bool = request.param
    return watchable


async def test_for_a_link_that_calls_the_speaker_is_called_when_something_is_for_it() -> None:
    place = Attached(watchable=True)
    place.link.comes(client_frame("a") + client_frame("!", PONG))
    assert place.calls == 0
    place.link.comes(client_frame("?", PING))
    place.link.comes(FIRST)
    assert place.calls == 1


async def test_what_a_pong_said_is_told() -> None:
    place = Attached(watchable=True)
    place.link.comes(client_frame("1", PONG) + client_frame("a") + client_frame("2", PONG))
    assert place.receiver.pongs == [b"2"]
    place.link.comes(client_frame("b"))
    assert place.receiver.pongs == [b"2"]


async def test_a_link_that_must_be_read_needs_the_speaker_from_the_beginning() -> None:
    assert Attached(watchable=False).calls == 1


async def test_nobody_is_called_any_more_once_it_has_hung_up() -> None:
    place = Attached(watchable=True)
    place.stream.hang_up()
    place.link.comes(client_close())
    assert place.calls == 0


async def test_a_replayed_head_comes_first_and_its_answer_goes_nowhere(
    nursery: trio.Nursery,
) -> None:
    place = Attached(watchable=True)
    place.stream.replay(HEAD)
    ping = client_frame("?", PING)
    place.link.comes(ping)
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    assert place.slow == [HEAD]
    await place.stream.send_all(b"HTTP/1.1 101 ")
    await wait_all_tasks_blocked()
    assert place.slow == [HEAD, ping]
    await place.stream.send_all(b"\x8a\x00")
    assert (place.link.sent, place.writer.written) == (b"", [b"\x8a\x00"])
    nursery.cancel_scope.cancel()


async def test_messages_go_to_the_receiver_and_the_rest_to_trio_websocket(
    made: bool, nursery: trio.Nursery
) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    ping = client_frame("?", PING)
    place.link.comes(client_frame("a") + ping + client_frame(b"b", BINARY))
    await wait_all_tasks_blocked()
    assert place.receiver.messages == [(TEXT, b"a"), (BINARY, b"b")]
    assert place.slow == [ping]
    assert place.receiver.heard
    nursery.cancel_scope.cancel()


async def test_a_message_in_fragments_keeps_its_place(made: bool, nursery: trio.Nursery) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    place.link.comes(FIRST + LAST + client_frame("behind"))
    await wait_all_tasks_blocked()
    assert (place.calls, place.receiver.messages) == (1, [])
    assert b"".join(place.slow) == FIRST + LAST
    place.stream.deliver_slow((TEXT, b"ab"))
    assert place.receiver.messages == [(TEXT, b"ab"), (TEXT, b"behind")]
    nursery.cancel_scope.cancel()


async def test_a_full_receiver_is_given_the_rest_when_it_has_room(
    made: bool, nursery: trio.Nursery
) -> None:
    place = Attached(watchable=made, limit=2)
    nursery.start_soon(place.read)
    place.link.comes(b"".join([client_frame(str(number)) for number in range(5)]))
    await wait_all_tasks_blocked()
    assert [payload for _, payload in place.receiver.messages] == [b"0", b"1"]
    assert place.link.paused or place.link.readers == 0
    for first in (b"2", b"4"):
        place.receiver.messages.clear()
        place.receiver.full = False
        place.stream.resume()
        await wait_all_tasks_blocked()
        assert place.receiver.messages[0] == (TEXT, first)
    assert not place.link.paused
    nursery.cancel_scope.cancel()


async def test_what_nobody_takes_out_of_the_slow_lane_stops_the_reading() -> None:
    place = Attached(watchable=True)
    pings = client_frame(b"x" * 125, PING) * (SLOW_BYTES // 131 + 2)
    place.link.comes(pings)
    assert place.link.paused
    assert await place.stream.receive_some() == pings
    assert not place.link.paused


async def test_the_peers_end_ends_both(made: bool, nursery: trio.Nursery) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    place.link.comes(b"")
    await wait_all_tasks_blocked()
    assert place.slow == [b""]
    assert place.receiver.endings == [False]
    assert place.stream.closed


async def test_what_trio_websocket_sends_goes_through_the_writer() -> None:
    place = Attached(watchable=True)
    goodbye = close_frame(1002, "so there")
    await place.stream.send_all(b"\x8a\x00")
    await place.stream.send_all(goodbye)
    assert (place.writer.written, place.writer.last) == ([b"\x8a\x00"], goodbye)
    assert place.receiver.endings == [True]
    assert place.link.sent == b""


async def test_only_one_goodbye_is_ever_sent() -> None:
    place = Attached(watchable=True)
    place.stream.say_goodbye(close_frame(3000))
    await place.stream.send_all(close_frame(1000))
    place.stream.say_goodbye(close_frame(3001))
    assert place.writer.last == close_frame(3000)
    assert place.stream.goodbye_sent


async def test_after_our_goodbye_only_the_peers_counts(made: bool, nursery: trio.Nursery) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    place.stream.say_goodbye(close_frame(3000))
    place.link.comes(client_frame("late") + client_frame("", PING) + client_close())
    await wait_all_tasks_blocked()
    assert place.receiver.messages == []
    assert b"".join(place.slow) == client_close()
    nursery.cancel_scope.cancel()


async def test_shaking_hands_ends_with_the_peers_answer(made: bool, nursery: trio.Nursery) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    async with trio.open_nursery() as inner:
        inner.start_soon(place.stream.shake_hands, close_frame(3000))
        await wait_all_tasks_blocked()
        assert (place.writer.last, len(inner.child_tasks)) == (close_frame(3000), 1)
        place.link.comes(client_close())
        await wait_all_tasks_blocked()
        await place.stream.send_all(close_frame(1000))  # trio-websocket answers what it has read
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("early", [False, True])
async def test_shaking_hands_ends_with_the_connection(
    early: bool, made: bool, nursery: trio.Nursery
) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    async with trio.open_nursery() as inner:
        if early:
            place.link.comes(b"")
            await wait_all_tasks_blocked()
        inner.start_soon(place.stream.shake_hands, close_frame(3000))
        await wait_all_tasks_blocked()
        if not early:
            place.link.comes(b"")


async def test_finishing_takes_the_reading_over(made: bool, nursery: trio.Nursery) -> None:
    place = Attached(watchable=made)
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    await place.stream.finish()
    assert place.link.finished
    await wait_all_tasks_blocked()
    assert place.slow == [b""]


async def test_finishing_works_after_the_reader_was_cancelled(made: bool) -> None:
    place = Attached(watchable=made)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.read)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await place.stream.finish()
    assert place.link.finished


async def test_closing_tells_whoever_asked_to_be_told() -> None:
    stream = FrameStream(FakeLink(), LIMIT)
    told: list[str] = []
    stream.when_closed = lambda: told.append("closed")
    await stream.aclose()
    assert told == ["closed"]
    assert stream.closed


async def test_the_slow_lane_is_given_out_in_pieces_with_a_turn_for_others_before_each() -> None:
    place = Attached(watchable=True)
    place.stream.take(client_frame(b"", PING) * 1000)
    pieces = []
    for _ in range(6):
        with assert_checkpoints():
            pieces.append(await place.stream.receive_some(1024))
    assert [len(piece) for piece in pieces] == [1024] * 5 + [6000 - 5 * 1024]


async def test_the_receiver_is_told_of_everything_that_arrives(made: bool) -> None:
    place = Attached(watchable=made)
    place.stream.take(client_frame("a") + client_frame("?", PING) + FIRST)
    place.stream.take(LAST[:2])
    place.stream.take(LAST[2:])
    assert place.receiver.received_bytes == len(client_frame("a") * 2 + FIRST + LAST)
    assert place.receiver.other_frames == 3


async def test_the_receiver_is_told_of_bytes_beyond_its_pace_before_their_messages() -> None:
    place = Attached(watchable=True)
    place.receiver.pace.bytes = 10
    place.stream.take(client_frame("a"))
    assert place.receiver.overdrafts == 0
    place.stream.take(client_frame("b"))
    assert place.receiver.overdrafts == 1


async def test_too_many_fragments_end_the_connection(made: bool) -> None:
    place = Attached(watchable=made)
    place.stream.take(FIRST + client_frame("", CONTINUATION, fin=False) * 1023)
    assert place.receiver.reasons == []
    place.stream.take(LAST)
    assert [str(reason) for reason in place.receiver.reasons] == ["1009 too many fragments"]


async def test_a_flood_after_our_goodbye_is_not_sorted_to_its_end() -> None:
    place = Attached(watchable=True)
    place.stream.say_goodbye(close_frame(3001, "bye"))
    place.stream.take(client_frame("late") * LATE_FRAMES)
    assert not place.stream.closed
    place.stream.take(client_frame("late"))
    assert place.stream.closed
    assert place.link.paused


async def test_what_came_before_the_end_is_handled_first(nursery: trio.Nursery) -> None:
    place = Attached(watchable=True)
    last = client_frame("?", PING) + client_close(4001)
    place.link.comes(last)
    place.link.comes(b"")
    assert not place.stream.closed
    await place.read()
    assert place.slow == [last, b""]
    assert place.stream.closed


async def test_the_end_of_a_peer_waits_for_the_message_in_fragments_before_it(
    nursery: trio.Nursery,
) -> None:
    place = Attached(watchable=True)
    place.link.comes(FIRST + LAST + client_frame("whole") + client_close(4001))
    place.link.comes(b"")
    nursery.start_soon(place.read)
    await wait_all_tasks_blocked()
    assert not place.stream.closed
    place.stream.deliver_slow((TEXT, b"both"))
    await wait_all_tasks_blocked()
    assert place.receiver.messages == [(TEXT, b"both"), (TEXT, b"whole")]
    assert place.slow == [FIRST + LAST, client_close(4001), b""]
