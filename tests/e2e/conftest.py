"""A browser, a server, and visitors whose windows must not complain."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.e2e.pages import Visitor
from tests.e2e.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
EXPECT_MILLISECONDS = 15_000

VisitorMaker = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the tests of one file."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        _without("Playwright is not installed: pip install playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        _without("there is no Chromium on PATH: apt-get install chromium-headless-shell")
    expect.set_options(timeout=EXPECT_MILLISECONDS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own."""
    with Server(tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[VisitorMaker]:
    """Make a visitor, signed in and in the lobby if a name is given.

    Every visitor has storage of their own. At the end of the test no window may have complained.
    """
    visitors: list[Visitor] = []

    def make(name: str = "", **options: Any) -> Visitor:
        page = browser.new_context(**options).new_page()
        visitors.append(Visitor(page, server.url))
        visitors[-1].open()
        if name:
            visitors[-1].sign_in(name)
            visitors[-1].is_in("lobby")
        return visitors[-1]

    yield make
    complaints = [visitor.complaints for visitor in visitors]
    for visitor in visitors:
        visitor.page.context.close()
    assert complaints == [[] for _ in visitors]


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"With CI=true the browser tests must run, but {reason}.")
    pytest.skip(f"{reason}; the browser tests are skipped")
