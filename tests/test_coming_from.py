"""The pages for people who come from other systems: their samples run, their tests are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rooms import App

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "coming-from").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_the_sample_after_is_an_application(page: Path) -> None:
    samples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    names: dict[str, Any] = {"__name__": "sample"}
    source = next(sample for sample in samples if "from rooms import" in sample)
    exec(compile(source, str(page), "exec", dont_inherit=True), names)
    assert isinstance(names["app"], App)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_the_tests_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py|tests/\w+)`", page.read_text("utf-8"))
    assert named
    for name in named:
        path = ROOT / name if name.startswith("tests/") else ROOT / "tests" / "server" / name
        assert path.exists(), name
