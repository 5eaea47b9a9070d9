"""Where the files for the browser are, in an installed wheel and in a checkout."""

from importlib.resources import files
from pathlib import Path


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
