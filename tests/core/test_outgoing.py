"""`rooms.core.outgoing`: one message, encoded once a dialect."""

from __future__ import annotations

from rooms.protocol.commands import Push
from tests.core.fakes import TaggedDialect, push


def test_a_message_is_encoded_once_a_dialect() -> None:
    one, two, outgoing = TaggedDialect("1"), TaggedDialect("2"), push("hi")
    frames = [outgoing.frame(dialect) for dialect in (one, two, one, two, one)]
    assert frames == [b"1:hi;", b"2:hi;", b"1:hi;", b"2:hi;", b"1:hi;"]
    assert (one.encoded, two.encoded) == (1, 1)


def test_all_receivers_share_the_same_bytes() -> None:
    dialect, outgoing = TaggedDialect("1"), push("hi")
    assert outgoing.frame(dialect) is outgoing.frame(dialect)


def test_a_message_is_not_encoded_before_somebody_needs_it() -> None:
    dialect, outgoing = TaggedDialect("1"), push("hi")
    assert dialect.encoded == 0
    assert isinstance(outgoing.message, Push)
