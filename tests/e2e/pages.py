"""Somebody at the chat page, and what they do and see there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

WATCH_POLICY = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`policy violated: ${violatedDirective} ${blockedURI}`));
"""


def expect(target: Any) -> Any:
    """As Playwright's own, which is imported late: collecting tests must not need it."""
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(target)


def is_outage(text: str, address: str) -> bool:
    """Whether the browser only says that the server was away.

    It says so of each attempt to reconnect, and of the page's icon, which it loads when it likes.
    """
    return "net::ERR_CONNECTION" in text and ("WebSocket" in text or address.endswith("icon.svg"))


class Visitor:
    """One browser window on the chat.

    Attributes:
        page: The page, for what only one test does.
        complaints: Errors and violations that the browser has reported.
        refusals: Statuses that a test provokes: the browser reports them, too.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.refusals: tuple[int, ...] = ()
        self._url = url
        page.add_init_script(WATCH_POLICY)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", self._asked)

    # What they do.

    def open(self, path: str = "") -> None:
        """Go to the chat, and wait until it knows how one signs in there."""
        self.page.goto(self._url + path)
        expect(self.page.locator("#sign-in-text:not(:empty)")).to_be_attached()

    def sign_in(self, name: str) -> None:
        """Fill in the first screen."""
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Start chatting").click()

    def show_token(self, token: str) -> None:
        """Fill in the card that asks for a token, on either page."""
        self.page.locator("#token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()

    def join(self, room: str) -> None:
        """Join or create a room by its name."""
        self.page.get_by_label("Name of a room to join or create").fill(room)
        self.page.keyboard.press("Enter")
        self.is_in(room)

    def say(self, text: str) -> None:
        """Send a message to the room that is shown."""
        self.text_box.fill(text)
        self.page.keyboard.press("Enter")

    # What they see.

    @property
    def text_box(self) -> Locator:
        """Where messages are written."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def messages(self) -> Locator:
        """The messages of the room that is shown."""
        return self.page.get_by_role("log").locator(".message")

    @property
    def notices(self) -> Locator:
        """Who came and went in the room that is shown."""
        return self.page.get_by_role("log").locator(".notice")

    @property
    def log(self) -> Locator:
        """Everything that is shown of the room."""
        return self.page.get_by_role("log").get_by_role("listitem")

    @property
    def people(self) -> Locator:
        """Those in the room that is shown."""
        return self.page.get_by_role("list", name="People").get_by_role("listitem")

    def room_link(self, room: str, group: str = "Your rooms") -> Locator:
        """A room in one of the two lists."""
        rooms = self.page.get_by_role("list", name=group)
        return rooms.get_by_role("link").filter(has_text=room)

    def message(self, text: str) -> Locator:
        """A message by what it says."""
        return self.messages.filter(has_text=text)

    def is_in(self, room: str) -> None:
        """Check which room is shown."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(room)

    def is_connected(self) -> None:
        """Check that the page says so."""
        expect(self.page.locator("#state")).to_have_text("Connected")

    def _heard(self, message: ConsoleMessage) -> None:
        address = message.location["url"]
        if any(f"status of {status} " in message.text for status in self.refusals):
            return
        if message.type in ("error", "warning") and not is_outage(message.text, address):
            self.complaints.append(f"{message.text} ({address})")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._url, "data:")):
            self.complaints.append(f"asked another host: {request.url}")
