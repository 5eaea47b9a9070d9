"""Nothing that strangers send makes a decoder raise what it does not declare.

This is the short form: mutations of the corpus and plain noise, the same every time.  The long
form, which is led by what the code does with its input, is ``scripts/fuzz``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, corpus

INTERESTING = [
    b"",
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b" ",
    b'"',
    b"{",
    b"[" * 50,
    b"\\ud800",
    b"\xed",
]


@st.composite
def mutations(draw: st.DrawFn, target: str) -> bytes:
    """An input of the corpus, with some of it cut out, put in, or changed."""
    data = draw(st.sampled_from(corpus(target)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        new = draw(st.sampled_from(INTERESTING) | st.binary(max_size=8))
        data = data[:start] + new + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_does_no_harm(target: str) -> None:
    for data in corpus(target):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_the_corpus_and_noise_do_no_harm(target: str) -> None:
    @given(mutations(target) | st.binary(max_size=100))
    def check(data: bytes) -> None:
        TARGETS[target](data)

    check()


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
