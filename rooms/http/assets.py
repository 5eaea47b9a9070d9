"""The files for the browser: where they are, and how they are sent."""

from importlib.resources import files
from pathlib import Path

from quart import Response, send_file

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""The types of what browsers load; the machine's own table calls ``.ts`` a video."""


def web_root() -> Path:
    """The folder of everything that a browser loads: `rooms.js`, the chat, the admin pages."""
    package = Path(str(files("rooms")))
    # The wheel carries the folder inside the package; an editable install leaves it beside it.
    for candidate in (package / "web", package.parent / "web"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"the web files are missing: neither {package / 'web'} nor {package.parent / 'web'} "
        "is a folder; install Rooms again"
    )


async def send_asset(path: Path) -> Response:
    """Return a file as the answer to a request; a browser may keep it but has to ask."""
    content_type = CONTENT_TYPES.get(path.suffix, "application/octet-stream")
    response = await send_file(path, mimetype=content_type, conditional=True)
    response.headers["Content-Type"] = content_type
    response.headers["Cache-Control"] = "no-cache"  # kept, but asked about: the ETag answers
    return response
