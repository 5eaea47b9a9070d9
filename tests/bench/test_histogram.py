"""Percentiles that are right to two parts in a hundred."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.bench.histogram import Histogram


def histogram_of(values: list[int]) -> Histogram:
    """A histogram that has counted these."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile(50) == 0.0


def test_small_values_are_exact() -> None:
    histogram = histogram_of(list(range(64)))
    assert histogram.percentile(50) == 31
    assert histogram.percentile(100) == 63


def test_what_is_below_zero_counts_as_zero() -> None:
    assert histogram_of([-5]).percentile(50) == 0.0


def test_known_percentiles_come_out() -> None:
    values = list(range(1_000, 1_001_000, 100))
    histogram = histogram_of(values)
    for percent in (1, 10, 50, 90, 99):
        wanted = statistics.quantiles(values, n=100)[percent - 1]
        assert histogram.percentile(percent) == pytest.approx(wanted, rel=0.02)


@given(value=st.integers(min_value=0, max_value=2**62))
def test_a_lone_value_is_found_again(value: int) -> None:
    assert histogram_of([value]).percentile(50) == pytest.approx(value, rel=0.02, abs=0.5)


@given(
    one=st.lists(st.integers(min_value=0, max_value=2**40)),
    other=st.lists(st.integers(min_value=0, max_value=2**40)),
)
def test_merging_is_counting_all_in_one(one: list[int], other: list[int]) -> None:
    merged = histogram_of(one)
    merged.merge(histogram_of(other))
    assert merged == histogram_of(one + other)


def test_a_percentile_never_exceeds_the_highest_value() -> None:
    assert histogram_of([1_000_001]).percentile(99.9) <= 1_000_001
