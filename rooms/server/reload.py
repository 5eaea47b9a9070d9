"""New settings for a server that runs: which of them it can take over, and from when on."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rooms.config import Settings

NEEDS_RESTART = frozenset(
    {
        "host",
        "port",
        "reuse_port",
        "workers",
        "http",
        "admin_bind",
        "ws_bind",
        "log_format",
        "jwt_secret",
        "jwt_secret_file",
        "jwt_key_file",
        "jwks_url",
        "jwt_algorithms",
        "jwt_audience",
        "jwt_issuer",
        "jwt_leeway",
        "jwt_required",
        "dialects",
        "broker",
        "broker_file",
        "broker_seconds",
        "ping_seconds",
        "pong_seconds",
        "presence_seconds",
        "write_seconds",
    }
)
"""They are built into what runs; whoever is connected has been told some of them."""

NEW_CONNECTIONS = frozenset(
    {
        "certfile",
        "keyfile",
        "client_ca",
        "client_certificates",
        "message_bytes",
        "fragments_per_message",
        "rate_messages",
        "rate_bytes",
        "rate_joins",
        "rate_burst_seconds",
        "outbox_bytes",
        "outbox_writes",
        "inbox_messages",
    }
)
"""Each connection takes these with it from its beginning."""


class Changes(Struct, frozen=True):
    """What new settings change, by the settings' names.

    Attributes:
        now: Hold from now on, for everybody.
        new_connections: Hold for connections that are made from now on.
        restart: Stay as they were until the server is started again.
    """

    now: list[str]
    new_connections: list[str]
    restart: list[str]


def merge(old: Settings, new: Settings) -> tuple[Settings, Changes]:
    """Return the settings that hold from now on, and what is different.

    Args:
        old: Those that hold.
        new: Those that are wanted.
    """
    fixed = NEEDS_RESTART
    if old.tls != new.tls:
        fixed |= {
            "certfile",
            "keyfile",
            "client_ca",
            "client_certificates",
        }  # a port speaks TLS or it does not
    changed = [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    restart = [name for name in changed if name in fixed]
    later = [name for name in changed if name in NEW_CONNECTIONS - fixed]
    now = [name for name in changed if name not in fixed | NEW_CONNECTIONS]
    kept = {name: getattr(old, name) for name in restart}
    return msgspec.structs.replace(new, **kept), Changes(now, later, restart)
