"""The dashboard, and what strangers have named themselves to break into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from rooms.core.admin_tokens import new_token
from tests.e2e.conftest import VisitorMaker
from tests.e2e.pages import Visitor, expect
from tests.e2e.servers import TOKEN, Server
from tests.e2e.test_sign_in import SECRET, signed_in, token_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

pytestmark = pytest.mark.e2e

READER = "token-of-somebody-who-looks"
HOSTILE = "<img src=x onerror=alert(1)>"
QUOTED = "\"'><svg onload=alert(2)>"
LINK = "javascript:alert(3)"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("dashboard") / "server.log"
    reader = new_token("looker", "read", READER).line
    with Server(log, jwt_secret=SECRET, admin_tokens=reader) as server:
        yield server


@pytest.fixture
def operator(browser: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Sign in to the dashboard; at the end the window may not have complained."""
    operators: list[Visitor] = []

    def make(token: str = TOKEN, **options: object) -> Visitor:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        operators.append(Visitor(page, server.url))
        page.goto(f"{server.url}admin")
        operators[-1].show_token(token)
        expect(page.get_by_role("heading", name="Rooms", level=1)).to_be_visible()
        return operators[-1]

    yield make
    for each in operators:
        each.page.context.close()
    assert [each.complaints for each in operators] == [[] for _ in operators]


def row(operator: Visitor, text: str) -> Locator:
    return operator.page.locator("tbody tr:visible").filter(has_text=text)


def go(operator: Visitor, view: str) -> None:
    operator.page.get_by_role("navigation").get_by_role("link", name=view).click()
    expect(operator.page.get_by_role("heading", name=view, level=1)).to_be_visible()


def test_an_operator_looks_acts_and_signs_out(
    visitor: VisitorMaker, operator: Callable[..., Visitor], server: Server
) -> None:
    ana, boss = visitor(), operator()
    boss.refusals = (404,)  # of the client that is gone
    signed_in(ana, token_of("a1", "Ana"))
    (cookie,) = boss.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    stored = boss.page.evaluate("JSON.stringify([localStorage, sessionStorage, location.href])")
    assert TOKEN not in stored + cookie["value"]
    row(boss, "lobby").get_by_role("link").click()
    boss.page.get_by_label("Event").fill("say")
    boss.page.get_by_label("Payload").fill("{")
    boss.page.get_by_role("button", name="Publish").click()
    expect(boss.page.get_by_role("alert").filter(has_text="not JSON")).to_be_visible()
    boss.page.get_by_label("Payload").fill('{"text": "to all"}')
    boss.page.get_by_role("button", name="Publish").click()
    expect(ana.message("to all")).to_be_visible()
    expect(boss.page.locator("#room-facts")).to_contain_text(re.compile(r"Position\s*1 "))
    row(boss, "Ana").get_by_role("link").click()
    boss.page.get_by_role("button", name="Disconnect…").click()
    boss.page.get_by_label("Reason").fill(HOSTILE)
    boss.page.get_by_role("button", name="Disconnect", exact=True).click()
    expect(ana.page.locator("#banner-text")).to_contain_text(HOSTILE)
    expect(boss.page.get_by_text("is not connected any more")).to_be_visible()
    boss.page.get_by_role("button", name="Sign out").click()
    expect(boss.page.get_by_label("Admin token")).to_be_focused()
    assert boss.page.context.cookies() == []


def test_who_may_only_look_has_nothing_to_act_with(
    visitor: VisitorMaker, operator: Callable[..., Visitor]
) -> None:
    signed_in(visitor(), token_of("b1", "Ben"))
    guest = operator(READER, viewport=PHONE)
    guest.refusals = (403,)
    row(guest, "lobby").get_by_role("link").click()
    expect(row(guest, "Ben")).to_be_visible()
    expect(guest.page.get_by_role("button", name="Publish")).to_be_hidden()
    assert guest.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    guest.page.evaluate("document.body.dataset.role = 'full'")
    guest.page.get_by_label("Event").fill("say")
    guest.page.get_by_role("button", name="Publish").click()
    expect(guest.page.get_by_role("alert").filter(has_text="may only read")).to_be_visible()


def test_a_wrong_admin_token_is_refused_in_words(visitor: VisitorMaker, server: Server) -> None:
    stranger = visitor()
    stranger.refusals = (401,)
    stranger.page.goto(f"{server.url}admin")
    stranger.show_token("guess")
    expect(stranger.page.get_by_role("alert")).to_contain_text("not an admin token")


def test_markup_is_text_in_every_view(
    visitor: VisitorMaker, operator: Callable[..., Visitor], server: Server
) -> None:
    mallory, ben, boss = visitor(), visitor(), operator()
    signed_in(mallory, token_of(f"m {QUOTED}", HOSTILE))
    signed_in(ben, token_of("b2", "Ben"))
    for each in (mallory, ben):
        each.join(LINK)
        each.join(HOSTILE)
    mallory.say(QUOTED)
    expect(ben.message(QUOTED)).to_contain_text(HOSTILE)
    expect(ben.people.filter(has_text=HOSTILE)).to_have_count(1)
    for name in (LINK, HOSTILE):
        expect(row(boss, name)).to_be_visible()
    go(boss, "Clients")
    expect(row(boss, QUOTED)).to_contain_text(HOSTILE)
    row(boss, QUOTED).get_by_role("link").click()
    expect(boss.page.locator("#client-facts")).to_contain_text(QUOTED)
    boss.page.get_by_role("link", name=HOSTILE).click()
    expect(boss.page.get_by_role("heading", level=1, name=HOSTILE)).to_be_visible()
    expect(row(boss, QUOTED)).to_contain_text(HOSTILE)
    boss.page.get_by_label("Event").fill(QUOTED)
    boss.page.get_by_label("Payload").fill('"<script>alert(4)</script>"')
    boss.page.get_by_role("button", name="Publish").click()
    expect(boss.page.get_by_text("Published.")).to_be_visible()
    go(boss, "Nodes")
    for page in (ben.page, mallory.page, boss.page):
        expect(page.locator("img[src=x], svg[onload], script:not([src])")).to_have_count(0)
        expect(page.locator("a[href^=javascript]")).to_have_count(0)
