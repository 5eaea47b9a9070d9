"""Serves what an application has of its own: views, blueprints and a folder of files."""

from __future__ import annotations

from pathlib import Path

from quart import Response, abort
from quart_trio import QuartTrio
from werkzeug.security import safe_join

from rooms.errors import ConfigError
from rooms.http.assets import send_asset
from rooms.server.pages import Pages

INDEX = "index.html"


def add_pages(site: QuartTrio, pages: Pages) -> None:
    """Have ``site`` serve them.

    Raises:
        ConfigError: The folder is none.
    """
    for number, route in enumerate(pages.routes):
        name = f"{number}:{getattr(route.function, '__name__', '')}"
        site.add_url_rule(route.rule, name, route.function, methods=list(route.methods))
    for blueprint, prefix in pages.blueprints:
        site.register_blueprint(blueprint, url_prefix=prefix)
    if pages.folder is not None:
        _add_folder(site, pages.folder)


def _add_folder(site: QuartTrio, folder: Path) -> None:
    root = folder.resolve()
    if not root.is_dir():
        raise ConfigError(f"App(static={str(folder)!r}): there is no such folder here.")

    async def file(name: str = INDEX) -> Response:
        path = find_file(root, name)
        if path is None:
            abort(404)
        return await send_asset(path)

    site.add_url_rule("/<path:name>", "file", file)
    if not any(rule.rule == "/" for rule in site.url_map.iter_rules()):
        site.add_url_rule("/", "index", file)


def find_file(root: Path, name: str) -> Path | None:
    """Return the file of that name, unless it is hidden or leads out of the folder.

    A name that ends with ``/`` is a folder's, which has its `INDEX` there.
    """
    if not name.isprintable():  # the system takes no null byte
        return None
    if name.endswith("/"):
        name += INDEX
    joined = safe_join(str(root), name)
    if joined is None or any(part.startswith(".") for part in name.split("/")):
        return None
    path = Path(joined).resolve()
    return path if path.is_file() and path.is_relative_to(root) else None
