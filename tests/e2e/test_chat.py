"""Two people use the whole chat, each in a browser window of their own."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import VisitorMaker
from tests.e2e.line import Line
from tests.e2e.pages import Visitor, expect

pytestmark = pytest.mark.e2e

LIST_EVERY = 11_000  # milliseconds after which the list of rooms is fresh
PHONE = {"width": 390, "height": 844}
MARKUP = "<img src=x onerror=alert(1)>"


def test_what_one_says_the_other_reads(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ana.say("Hello, Ben")
    expect(ana.message("Hello, Ben").get_by_text("Delivered")).to_be_attached()
    expect(ben.message("Hello, Ben")).to_contain_text("Ana")
    ben.say("Hello yourself")
    expect(ana.messages).to_contain_text(["Hello, Ben", "Hello yourself"])
    expect(ben.messages).to_contain_text(["Hello, Ben", "Hello yourself"])


def test_a_message_is_shown_before_the_server_has_it(visitor: VisitorMaker) -> None:
    ana = visitor()
    line = Line(ana)
    ana.open()
    ana.sign_in("Ana")
    ana.is_in("lobby")
    expect(ana.people).to_have_count(1)
    line.holding = True
    ana.say("Hello?")
    expect(ana.message("Hello?").get_by_text("Sending")).to_be_attached()
    line.release()
    expect(ana.message("Hello?").get_by_text("Delivered")).to_be_attached()
    expect(ana.messages).to_have_count(1)


def test_people_are_seen_coming_and_going(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    expect(ana.notices).to_contain_text(["Ben joined"])
    expect(ana.people).to_have_text([re.compile("Ana.*you"), re.compile("Ben")])
    expect(ana.page.locator("#room-count")).to_have_text("2 people")
    ben.page.get_by_role("button", name="Leave this room").click()
    expect(ana.people).to_have_count(1)
    expect(ana.notices).to_contain_text(["Ben joined", "Ben left"])


def test_a_reload_keeps_name_and_rooms_and_is_not_noticed(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ben.join("garden")
    ben.open("#/lobby")
    ben.page.reload()
    ben.is_in("lobby")
    ben.say("Back again")
    expect(ana.message("Back again")).to_contain_text("Ben")
    expect(ana.notices.filter(has_text="left")).to_have_count(0)
    expect(ben.room_link("garden")).to_be_visible()


def test_who_is_writing_is_shown_until_it_is_said(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ben.text_box.press_sequentially("I thi")
    expect(ana.page.get_by_text("Ben is typing…")).to_be_visible()
    ben.say("I think so")
    expect(ana.page.get_by_text("Ben is typing…")).to_have_count(0)
    expect(ben.page.get_by_text("is typing…")).to_have_count(0)


def test_messages_elsewhere_are_counted_until_they_are_read(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ana.join("garden")
    ben.say("one")
    ben.say("two")
    expect(ana.room_link("lobby")).to_contain_text("2 unread")
    expect(ana.page).to_have_title("(2) garden · Rooms")
    ana.room_link("lobby").click()
    expect(ana.messages).to_contain_text(["one", "two"])
    expect(ana.page).to_have_title("lobby · Rooms")
    expect(ana.room_link("lobby").get_by_text("unread")).to_be_hidden()


def test_a_new_room_is_found_joined_and_left(visitor: VisitorMaker) -> None:
    ana, ben = visitor(), visitor("Ben")
    ana.page.clock.install()
    ana.open()
    ana.sign_in("Ana")
    ana.is_in("lobby")
    ben.join("garden club")
    ana.page.clock.fast_forward(LIST_EVERY)
    ana.room_link("garden club", "Open rooms").click()
    ana.is_in("garden club")
    expect(ben.people).to_have_count(2)
    ana.page.get_by_role("button", name="Leave this room").click()
    ana.is_in("lobby")
    expect(ben.people).to_have_count(1)
    expect(ana.room_link("garden club", "Open rooms")).to_be_visible()


def test_a_room_that_may_not_be_is_refused_with_the_reason(visitor: VisitorMaker) -> None:
    ana = visitor("Ana")
    ana.page.get_by_label("Name of a room to join or create").fill("a+b")
    ana.page.keyboard.press("Enter")
    expect(ana.page.get_by_role("alert")).to_contain_text("wildcards")
    ana.is_in("lobby")
    expect(ana.room_link("a+b")).to_have_count(0)


def test_a_name_belongs_to_whoever_has_it(visitor: VisitorMaker) -> None:
    visitor("Ana")
    ben = visitor()
    ben.sign_in("ana")
    expect(ben.page.get_by_role("alert")).to_contain_text("choose another name")
    ben.sign_in("Ben")
    ben.is_in("lobby")


def test_a_name_can_be_changed(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    ana.page.get_by_role("button", name="Change name").click()
    ana.sign_in("Anastasia")
    expect(ben.people).to_have_text([re.compile("Ben"), re.compile("Anastasia")])


def test_markup_is_text_wherever_it_comes_from(visitor: VisitorMaker) -> None:
    mallory, ben = visitor(MARKUP), visitor("Ben")
    mallory.join(f"room {MARKUP}")
    mallory.say("<script>alert(1)</script>")
    ben.join(f"room {MARKUP}")
    mallory.say("<b onclick=alert(1)>again</b>")
    mallory.text_box.press_sequentially("x")
    expect(ben.message("<b onclick=alert(1)>again</b>")).to_contain_text(MARKUP)
    expect(ben.people).to_have_text([re.compile("Ben"), re.compile(re.escape(MARKUP))])
    expect(ben.page.get_by_text(f"{MARKUP} is typing…")).to_be_visible()
    expect(ben.page.locator("img[src=x], b, script:not([src])")).to_have_count(0)


def test_a_name_that_objects_have_of_their_own_is_refused(visitor: VisitorMaker) -> None:
    mallory = visitor()
    mallory.sign_in("__proto__")
    expect(mallory.page.get_by_role("alert")).to_contain_text("belongs to the server")


def test_everything_can_be_reached_by_keyboard(visitor: VisitorMaker) -> None:
    ana = visitor()
    keyboard = ana.page.keyboard
    keyboard.type("Ana")
    keyboard.press("Enter")
    expect(ana.text_box).to_be_focused()
    keyboard.type("one")
    keyboard.press("Shift+Enter")
    keyboard.type("two")
    keyboard.press("Enter")
    expect(ana.messages).to_contain_text(["one\ntwo"])
    ana.page.get_by_role("link", name="Skip to the message box").focus()
    keyboard.press("Enter")
    expect(ana.text_box).to_be_focused()
    ana.is_in("lobby")


def test_a_phone_shows_one_thing_at_a_time(visitor: VisitorMaker) -> None:
    ana = visitor("Ana", viewport=PHONE, has_touch=True)
    show_people = ana.page.get_by_role("button", name="People in this room")
    expect(ana.page.get_by_role("navigation", name="Rooms")).to_be_hidden()
    show_people.click()
    expect(ana.people).to_have_count(1)
    ana.page.keyboard.press("Escape")
    expect(ana.people).to_have_count(0)
    expect(show_people).to_be_focused()
    ana.say("x" * 300)
    assert fits(ana)
    ana.page.get_by_role("link", name="All rooms").click()
    expect(ana.text_box).to_be_hidden()
    assert fits(ana)
    ana.room_link("lobby").click()
    expect(ana.messages).to_have_count(1)


def test_who_reads_older_messages_is_told_of_new_ones(visitor: VisitorMaker) -> None:
    ana, ben = visitor("Ana"), visitor("Ben")
    for number in range(40):
        ben.say(f"message {number}.")  # the full stop parts it from the time that is shown behind
    expect(ana.messages).to_have_count(40)
    expect(ana.message("message 39.")).to_be_in_viewport()
    ana.page.get_by_role("log").evaluate("log => { log.scrollTop = 0; }")
    expect(ana.message("message 39.")).not_to_be_in_viewport()
    ben.say("the newest")
    ana.page.get_by_role("button", name="New messages").click()
    expect(ana.message("the newest")).to_be_in_viewport()
    expect(ana.page.get_by_role("button", name="New messages")).to_have_count(0)


def fits(visitor: Visitor) -> bool:
    """Whether nothing sticks out of the window."""
    return bool(
        visitor.page.evaluate(
            "[...document.querySelectorAll('#app *')].every(node =>"
            " node.closest('svg, .visually-hidden, .skip, [hidden]') ||"
            " node.getBoundingClientRect().right <= innerWidth + 0.5)"
        )
    )
