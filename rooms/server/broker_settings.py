"""Which broker the settings name."""

from __future__ import annotations

from rooms.config import Settings
from rooms.errors import ConfigError

DEFAULT = Settings().broker


def broker_url(settings: Settings) -> str:
    """Return the broker's URL: the setting ``broker``, or what ``broker_file`` says.

    Raises:
        ConfigError: Both are set, or the file cannot be used.
    """
    path = settings.broker_file
    if not path:
        return settings.broker
    if settings.broker != DEFAULT:
        raise ConfigError("The broker is set twice: set broker or broker_file.")
    try:
        with open(path, encoding="utf-8") as file:
            url = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The broker cannot be read from {path!r}: {error}.") from None
    if not url:
        raise ConfigError(f"The broker file {path!r} is empty.")
    return url
