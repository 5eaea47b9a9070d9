"""`rooms.core.history`: what a room remembers, against a list that remembers everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from rooms.core.history import NOTHING, Kept, Retention, Stream, publication
from rooms.errors import Unrecoverable
from rooms.protocol.commands import Origin, Position

EPOCH = "e1"
START = Position(EPOCH, 0)
PLENTY = Retention(100, 60)


def publish(stream: Stream, now: float, event: str = "said") -> int:
    """Have a stream count and keep one more publication; returns its offset."""
    position = stream.advance()
    stream.keep(Kept(now, event, Raw(b"%d" % position.offset)))
    return position.offset


def filled(count: int, retention: Retention = PLENTY) -> Stream:
    """Return a stream with that many publications, a second apart."""
    stream = Stream("lobby", START, retention)
    for second in range(1, count + 1):
        publish(stream, second)
    return stream


def at(offset: int) -> Position:
    return Position(EPOCH, offset)


@dataclass
class EverythingKept:
    """The same stream as a list from which nothing is ever removed."""

    retention: Retention
    times: list[float] = field(default_factory=list)

    def kept(self, now: float) -> list[int]:
        """Return the offsets of what has to be kept still, the oldest first."""
        last = len(self.times)
        young = [n for n, time in enumerate(self.times, 1) if now - time < self.retention.seconds]
        return [offset for offset in young if last - offset < self.retention.messages]

    def page(
        self, now: float, limit: int, since: int | None, before: int | None, newest_first: bool
    ) -> tuple[list[int], bool] | str:
        """Return the offsets of a page and whether there is more, or why there is no page."""
        last, kept = len(self.times), self.kept(now)
        if any(each is not None and not 0 <= each <= last for each in (since, before)):
            return "epoch_changed"
        if since is not None and since + 1 < (kept[0] if kept else last + 1):
            return "too_old"
        asked = [
            offset
            for offset in kept
            if (since is None or offset > since) and (before is None or offset < before)
        ]
        ordered = asked[::-1] if newest_first else asked
        return ordered[:limit], len(ordered) > limit


retentions = st.builds(Retention, st.integers(1, 6), st.sampled_from([0.5, 3.0, 8.0]))
pauses = st.lists(st.sampled_from([0.0, 0.25, 1.0, 5.0]), max_size=12)
offsets = st.none() | st.integers(-1, 14)


@given(retentions, pauses, st.floats(0, 10), st.integers(1, 8), offsets, offsets, st.booleans())
def test_a_page_is_what_a_list_of_everything_would_give(
    retention: Retention,
    pauses: list[float],
    later: float,
    limit: int,
    since: int | None,
    before: int | None,
    newest_first: bool,
) -> None:
    stream, model, now = Stream("lobby", START, retention), EverythingKept(retention), 100.0
    for pause in pauses:
        now += pause
        publish(stream, now)
        model.times.append(now)
    now += later
    expected = model.page(now, limit, since, before, newest_first)
    edges = (None if since is None else at(since), None if before is None else at(before))
    if isinstance(expected, str):
        with pytest.raises(Unrecoverable) as refused:
            stream.page(now, limit, *edges, newest_first)
        assert refused.value.reason == expected
        return
    page = stream.page(now, limit, *edges, newest_first)
    assert ([each.position.offset for each in page.publications], page.more) == expected
    assert page.position == at(len(pauses))
    assert all(bytes(p.payload) == b"%d" % p.position.offset for p in page.publications)


@given(st.integers(1, 40), st.integers(1, 7), st.booleans())
def test_pages_one_after_the_other_are_the_whole_history(
    count: int, limit: int, newest_first: bool
) -> None:
    stream = filled(count)
    seen: list[int] = []
    edge, more = None if newest_first else START, True
    while more:
        since, before = (None, edge) if newest_first else (edge, None)
        page = stream.page(count, limit, since, before, newest_first)
        seen += [each.position.offset for each in page.publications]
        edge, more = page.publications[-1].position, page.more
    assert (seen[::-1] if newest_first else seen) == list(range(1, count + 1))


def test_a_new_stream_stands_where_it_was_begun_and_has_kept_nothing() -> None:
    stream = Stream("lobby", at(7))
    assert (len(stream), stream.position, stream.first) == (0, at(7), 8)
    page = stream.page(0, 10)
    assert (page.position, page.publications, page.more) == (at(7), [], False)


def test_a_stream_that_keeps_nothing_still_counts() -> None:
    stream = Stream("lobby", START, NOTHING)
    assert [stream.advance() for _ in range(2)] == [at(1), at(2)]
    assert stream.page(0, 10, since=at(2)).publications == []
    with pytest.raises(Unrecoverable) as refused:
        stream.page(0, 10, since=at(1))
    assert refused.value.reason == "too_old"


def test_more_than_the_room_keeps_is_never_kept() -> None:
    stream = filled(1000, Retention(10, 5000))
    assert (len(stream), stream.first, stream.position) == (10, 991, at(1000))


def test_what_is_too_old_is_forgotten_when_it_is_asked_for_or_swept() -> None:
    stream = filled(10, Retention(100, 5))
    stream.expire(12.0)
    assert (len(stream), stream.first) == (3, 8)  # of seconds 8, 9 and 10
    assert stream.page(14.5, 10).publications[0].position == at(10)
    stream.expire(15.0)
    assert (len(stream), stream.first) == (0, 11)


def test_a_position_of_another_life_cannot_be_compared() -> None:
    stream = filled(3)
    for wrong in (Position("e0", 1), at(4), at(-1), Position("", 0)):
        for since, before in ((wrong, None), (None, wrong)):
            with pytest.raises(Unrecoverable) as refused:
                stream.page(3, 10, since, before)
            assert refused.value.reason == "epoch_changed"


def test_since_the_last_publication_nothing_was_missed_however_old_it_is() -> None:
    page = filled(3).page(1000, 10, since=at(3))
    assert (page.position, page.publications, page.more) == (at(3), [], False)


def test_a_page_between_two_positions_holds_neither() -> None:
    page = filled(9).page(9, 10, since=at(3), before=at(7))
    assert [each.position.offset for each in page.publications] == [4, 5, 6]
    assert filled(9).page(9, 10, since=at(7), before=at(3)).publications == []


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [0, -3])
def test_a_page_of_nothing_is_empty(limit: int, newest_first: bool) -> None:
    page = filled(5).page(5, limit, newest_first=newest_first)
    assert (page.publications, page.more) == ([], True)


def test_use_is_noted_by_what_is_published_and_by_what_is_asked() -> None:
    stream = filled(3)
    assert stream.used_at == 3
    stream.page(20, 10)
    assert stream.used_at == 20


def test_a_publication_comes_back_as_it_was_kept() -> None:
    sender = Origin("c7", "ana")
    again = publication("lobby", at(4), Kept(1.5, "said", Raw(b'{"n":1.50}'), sender))
    assert (again.event, again.room, again.position) == ("said", "lobby", at(4))
    assert (bytes(again.payload), again.sender) == (b'{"n":1.50}', sender)
    assert publication("lobby", at(4), Kept(1.5, "said", Raw(b"1"))).sender is UNSET
