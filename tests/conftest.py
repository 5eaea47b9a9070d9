"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("rooms.testing.brokers")

# The same examples every time, so that a failure is never a matter of luck; to look further:
# HYPOTHESIS_PROFILE=search
settings.register_profile("same", max_examples=50, derandomize=True, deadline=None)
settings.register_profile("search", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
