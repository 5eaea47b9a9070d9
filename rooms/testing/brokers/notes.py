"""What `Notes` promises, as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import trio.testing

from rooms.brokers.notes import Note, Notes


async def values_of(notes: Notes) -> dict[str, bytes]:
    """Return the values of all notes, by name."""
    return {note.name: note.value for note in await notes.read()}


class NotesTests(ABC):
    """A test for each sentence of `Notes`; see `BrokerSuite`."""

    @abstractmethod
    def open_notes(self) -> AbstractAsyncContextManager[Sequence[Notes]]:
        """Return ways of one or more nodes to notes that nobody else uses; there are none yet."""

    async def pass_time(self, clock: trio.testing.MockClock, seconds: float) -> None:
        """Let time pass for the notes; override it where its time is not Trio's."""
        clock.jump(seconds)

    async def test_every_node_can_read_what_one_has_written(self) -> None:
        async with self.open_notes() as ways:
            assert [await notes.read() for notes in ways] == [[] for _ in ways]
            await ways[0].write([Note("a", b"1", 60), Note("ü b", b"\x00\xff", 60)])
            await ways[-1].write([Note("c", b"", 60)])
            for notes in ways:
                assert await values_of(notes) == {"a": b"1", "ü b": b"\x00\xff", "c": b""}

    async def test_a_note_is_there_until_its_time_is_over(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.open_notes() as (notes, *_):
            await notes.write([Note("a", b"1", 60), Note("b", b"2", 90), Note("c", b"3", -1)])
            assert await values_of(notes) == {"a": b"1", "b": b"2"}
            await self.pass_time(mock_clock, 61)
            (left,) = await notes.read()
            assert left[:2] == ("b", b"2")
            assert 0 < left.seconds <= 30
            await self.pass_time(mock_clock, 30)
            assert await notes.read() == []
            await notes.write([Note("a", b"4", 60)])
            assert await values_of(notes) == {"a": b"4"}

    async def test_written_again_it_has_the_new_value_and_the_later_end(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        async with self.open_notes() as (notes, *_):
            await notes.write([Note("a", b"1", 60), Note("b", b"1", 60)])
            await notes.write([Note("a", b"2", 30), Note("b", b"2", 90)])
            await self.pass_time(mock_clock, 45)
            assert await values_of(notes) == {"a": b"2", "b": b"2"}
            await self.pass_time(mock_clock, 30)
            assert await values_of(notes) == {"b": b"2"}

    async def test_there_can_be_many(self) -> None:
        async with self.open_notes() as (notes, *_):
            every = [Note(f"n{number}", b"%d" % number, 1000 + number) for number in range(2500)]
            await notes.write(every)
            assert await values_of(notes) == {note.name: note.value for note in every}
