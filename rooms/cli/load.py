"""Finds the application that a command line names."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from rooms.errors import ConfigError
from rooms.server.app import App


def load_app(name: str) -> App:
    """Return the `App` that ``module:attribute`` names; the attribute is ``app`` if not given.

    Raises:
        ConfigError: There is no such module, or no app in it.
    """
    module_name, _, attribute = name.partition(":")
    module = _import(module_name)
    app = getattr(module, attribute or "app", None)
    if isinstance(app, App):
        return app
    apps = sorted(key for key, value in vars(module).items() if isinstance(value, App))
    found = f"it has {', '.join(apps)}" if apps else "it has none"
    raise ConfigError(f"There is no App called {attribute or 'app'!r} in {module_name!r}: {found}.")


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{name!r} does not name a module: give MODULE:APP.")
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        raise ConfigError(
            f"There is no module {name!r} here or on Python's path: give MODULE:APP."
        ) from None
