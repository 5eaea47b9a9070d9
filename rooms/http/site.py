"""The web site of a server: the chat page, what browsers load, the admin API and the metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Literal

from quart import Response, abort
from quart_trio import QuartTrio

from rooms.config import Settings
from rooms.http.admin import install_admin, install_public
from rooms.http.assets import send_asset, web_root
from rooms.http.cors import install_cors
from rooms.http.errors import install_errors
from rooms.http.guard import Guard
from rooms.http.metrics import MetricsPage
from rooms.http.pages import add_pages
from rooms.http.visitor import visitor
from rooms.server.app import App, NotRunning
from rooms.server.node import Node

Part = Literal["all", "public", "admin"]
Asset = Callable[[str], Awaitable[Response]]

CHAT = "chat/"
CHAT_PAGE = "chat/index.html"
DASHBOARD = "admin/"
DASHBOARD_PAGE = "admin/index.html"
DASHBOARD_PATH = "/admin"

ENVELOPE_BYTES = 4096
"""What a request to the admin API may hold beside the largest message."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

LOCAL_NAME = "localhost"
"""Everything that a developer tries has this name; it cannot be had by TLS alone."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_site(
    app: App,
    settings: Settings,
    *,
    chat: bool = False,
    part: Part = "all",
    web: Path | None = None,
) -> QuartTrio:
    """Return the site of ``app`` as an ASGI application.

    Args:
        app: The rooms that the admin API shows and acts on.
        settings: How large requests may be.
        chat: Whether ``/`` is the built-in chat; without it there is no page.
        part: All of it, or what is for the public, or what is for admins.
        web: The folder of what browsers load; the package's own if not given.
    """
    site = QuartTrio(__name__, static_folder=None)
    site.config["MAX_CONTENT_LENGTH"] = settings.message_bytes + ENVELOPE_BYTES
    site.url_map.merge_slashes = False  # a room's name may hold any number of them
    install_errors(site)
    install_cors(site, app)
    guard = Guard(app)
    if part == "public":
        install_public(site, app, guard)
    else:
        install_admin(site, app, guard)
        page = MetricsPage(app, guard)
        site.add_url_rule("/metrics", view_func=page.show, provide_automatic_options=False)
    chat = part != "admin" and (chat or app.http.shows_chat)
    show = _add_assets(site, web or web_root(), chat=chat, dashboard=part != "public")
    if chat:
        site.add_url_rule("/", "chat", partial(show, CHAT_PAGE))
    if part != "admin":
        add_pages(site, app.http)
    if part != "public" and not _has(site, DASHBOARD_PATH):  # an application may want that path
        site.add_url_rule(DASHBOARD_PATH, "dashboard", partial(show, DASHBOARD_PAGE))
    site.after_request(_Security(app).secure)
    return site


def _add_assets(site: QuartTrio, root: Path, *, chat: bool, dashboard: bool) -> Asset:
    """Have ``site`` serve what browsers load, and return the view that sends one such file."""
    names = _asset_names(root, chat=chat, dashboard=dashboard)

    async def asset(name: str) -> Response:
        if name not in names:
            abort(404)
        try:
            return await send_asset(root / name)
        except FileNotFoundError:  # removed since the list was made
            abort(404)

    site.add_url_rule("/static/<path:name>", view_func=asset)
    return asset


def _asset_names(root: Path, *, chat: bool, dashboard: bool) -> frozenset[str]:
    """Return what may be asked for, listed beforehand: no other path reaches the disk."""
    files = (path for path in root.rglob("*") if path.is_file())
    names = (path.relative_to(root).as_posix() for path in files)
    hidden = tuple(folder for folder, shown in ((CHAT, chat), (DASHBOARD, dashboard)) if not shown)
    return frozenset(name for name in names if not name.startswith(hidden))


def _has(site: QuartTrio, path: str) -> bool:
    return any(rule.rule == path for rule in site.url_map.iter_rules())


class _Security:
    """Adds to every answer what keeps pages of strangers, and networks, from misusing it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def secure(self, response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)  # an application knows best what it needs
        with contextlib.suppress(NotRunning):
            self._add_hsts(response, self._app.node)
        return response

    def _add_hsts(self, response: Response, node: Node) -> None:
        """Have browsers come by TLS, if it was spoken on the way."""
        seconds = node.settings.hsts_seconds
        site = visitor(node).site
        shared = site.host.partition(":")[0] == LOCAL_NAME  # the name of many servers
        if seconds and site.secure and not shared:
            response.headers.setdefault("Strict-Transport-Security", f"max-age={seconds}")
