"""What lies between a page and the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.pages import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import WebSocketRoute

GOING_AWAY = 1001


class Line:
    """The WebSocket connections of a visitor who has not opened the page yet.

    Attributes:
        holding: Keep back what the server says.
        broken: Nothing gets through, and nobody can connect.
    """

    def __init__(self, visitor: Visitor) -> None:
        self.holding = False
        self.broken = False
        self._kept: list[tuple[WebSocketRoute, str | bytes]] = []
        self._page: WebSocketRoute | None = None
        self._server: WebSocketRoute | None = None
        visitor.page.route_web_socket("**/ws", self._route)

    def release(self) -> None:
        """Let everything go on."""
        self.holding = False
        for page, message in self._kept:
            page.send(message)

    def cut(self) -> None:
        """Break the connection, and what was kept back with it."""
        assert self._page is not None
        assert self._server is not None
        self.holding = False
        self._kept.clear()
        self._server.close(code=GOING_AWAY)
        self._page.close(code=GOING_AWAY)

    def _route(self, page: WebSocketRoute) -> None:
        if self.broken:
            page.close(code=GOING_AWAY)
            return
        server = page.connect_to_server()
        server.on_message(lambda message: self._pass(page, message))
        self._page, self._server = page, server

    def _pass(self, page: WebSocketRoute, message: str | bytes) -> None:
        if self.holding and json.loads(message)["type"] in ("reply", "event"):
            self._kept.append((page, message))
        else:
            page.send(message)
