"""Who comes into a room reads what was said before."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import VisitorMaker
from tests.e2e.pages import Visitor, expect
from tests.e2e.servers import Server

pytestmark = pytest.mark.e2e

PAGE = 50


def test_the_past_is_there_page_by_page_and_what_is_in_sight_stays(
    visitor: VisitorMaker, server: Server
) -> None:
    server.say("lobby", (f"message {number:03}" for number in range(120)))
    ana = visitor("Ana")
    expect(ana.messages).to_have_count(PAGE)
    expect(ana.message("message 119")).to_be_in_viewport()
    expect(ana.messages.locator("time")).to_have_count(0)
    place = scroll_near_the_top(ana)
    expect(ana.messages).to_have_count(2 * PAGE)
    assert abs(top_of(ana, "message 072") - place) < 2
    ana.page.get_by_role("log").evaluate("log => { log.scrollTop = 0; }")
    expect(ana.page.get_by_text("as far back as the messages go")).to_be_visible()
    expect(ana.messages).to_have_count(120)
    expect(ana.messages.first).to_contain_text("message 000")
    ana.say("the newest")
    expect(ana.message("the newest")).to_be_in_viewport()


def test_who_reloads_the_page_sees_their_own_words_again(visitor: VisitorMaker) -> None:
    ana = visitor("Ana")
    expect(ana.page.get_by_text("Nothing was said here lately")).to_be_visible()
    ana.say("I said this")
    expect(ana.message("I said this").get_by_text("Delivered")).to_be_attached()
    ana.page.reload()
    expect(ana.message("I said this").get_by_text("Delivered")).to_be_attached()
    expect(ana.page.locator(".message.own")).to_have_count(1)


def scroll_near_the_top(visitor: Visitor) -> float:
    """Scroll to where older messages are asked for; return where a message in sight is then."""
    position = """log => {
      log.scrollTop = 150;
      return log.querySelectorAll(".message")[2].getBoundingClientRect().top;
    }"""
    return float(visitor.page.get_by_role("log").evaluate(position))


def top_of(visitor: Visitor, text: str) -> float:
    """Return where on the screen a message is."""
    return float(visitor.message(text).evaluate("node => node.getBoundingClientRect().top"))
