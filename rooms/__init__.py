"""A WebSocket room server on Trio, and the library that it is made of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rooms.config import Settings
    from rooms.core.identity import Identity
    from rooms.errors import ConfigError, Disconnect, Refused, RequestError, RoomsError
    from rooms.protocol.commands import Origin, Position, User
    from rooms.server.app import App
    from rooms.server.asgi import AsgiApp, asgi
    from rooms.server.auth import Anonymous, Authenticator, Credentials
    from rooms.server.authorize import Access
    from rooms.server.client import Client
    from rooms.server.client_certificate import ClientCertificate
    from rooms.server.context import Context, Event
    from rooms.server.cookies import SignedCookie
    from rooms.server.gateway import Gateway
    from rooms.server.rooms import Delivered, RoomHandle
    from rooms.server.tokens.verifier import JWT
    from rooms.server.websocket import WebSocket, relay
    from rooms.serving import Server, serve

__all__ = [
    "JWT",
    "Access",
    "Anonymous",
    "App",
    "AsgiApp",
    "Authenticator",
    "Client",
    "ClientCertificate",
    "ConfigError",
    "Context",
    "Credentials",
    "Delivered",
    "Disconnect",
    "Event",
    "Gateway",
    "Identity",
    "Origin",
    "Position",
    "Refused",
    "RequestError",
    "RoomHandle",
    "RoomsError",
    "Server",
    "Settings",
    "SignedCookie",
    "User",
    "WebSocket",
    "asgi",
    "relay",
    "serve",
]

_HOMES = {
    "rooms.config": ("Settings",),
    "rooms.core.identity": ("Identity",),
    "rooms.errors": ("ConfigError", "Disconnect", "Refused", "RequestError", "RoomsError"),
    "rooms.protocol.commands": ("Origin", "Position", "User"),
    "rooms.server.app": ("App",),
    "rooms.server.asgi": ("AsgiApp", "asgi"),
    "rooms.server.auth": ("Anonymous", "Authenticator", "Credentials"),
    "rooms.server.authorize": ("Access",),
    "rooms.server.client": ("Client",),
    "rooms.server.client_certificate": ("ClientCertificate",),
    "rooms.server.context": ("Context", "Event"),
    "rooms.server.cookies": ("SignedCookie",),
    "rooms.server.gateway": ("Gateway",),
    "rooms.server.rooms": ("Delivered", "RoomHandle"),
    "rooms.server.tokens.verifier": ("JWT",),
    "rooms.server.websocket": ("WebSocket", "relay"),
    "rooms.serving": ("Server", "serve"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``rooms --help`` need not wait."""
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
