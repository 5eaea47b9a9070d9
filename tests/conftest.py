"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples every time, so that a failure is never a matter of luck; to look further:
# HYPOTHESIS_PROFILE=search
settings.register_profile("same", derandomize=True, deadline=None, print_blob=False)
settings.register_profile("search", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
