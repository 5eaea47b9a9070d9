"""A soak in short: ten seconds here, or as many as ``SOAK_SECONDS`` says."""

from __future__ import annotations

import os

import pytest

from tests.soak.soak import MEBIBYTE, run

SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))
GROWTH = 24 * MEBIBYTE
"""What memory may grow by once it is warm; some noise is inevitable in so short a time."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 110)
async def test_a_server_that_was_used_and_abused_holds_no_more_than_before() -> None:
    curve = await run(SECONDS, seed=1, show=lambda line: None)
    assert curve.growth < GROWTH
