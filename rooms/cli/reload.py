"""Settings, loaded again while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from rooms import logs
from rooms.config import load_here
from rooms.errors import ConfigError

if TYPE_CHECKING:
    from rooms.serving import Server

log = structlog.get_logger("rooms")


def reloader(flags: Mapping[str, Any]) -> Callable[[Server], None]:
    """Return what loads the settings anew from the same places; what does not fit changes nothing.

    Args:
        flags: Of the command line; they go on to outweigh the file, which may have come or gone.
    """

    def reload(server: Server) -> None:
        try:
            loaded = load_here(flags)
            changes = server.reload(loaded.settings)
        except ConfigError as error:
            log.error("settings not reloaded, the old ones hold", error=str(error))
            return
        logs.set_level(loaded.settings.log_level)
        log.warning(
            "settings reloaded",
            now=changes.now,
            new_connections=changes.new_connections,
            needs_restart=changes.restart,
        )

    return reload
