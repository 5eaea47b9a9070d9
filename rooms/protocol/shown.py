"""Values as they may be shown: some hold what lets somebody in."""

from __future__ import annotations

from msgspec import Struct

SECRETS = frozenset({"secret", "ticket", "token"})
"""The fields that do."""


def safe_repr(struct: Struct) -> str:
    """Return what ``repr`` would of ``struct``, with dots for each secret."""
    fields = ((name, getattr(struct, name)) for name in struct.__struct_fields__)
    shown = (
        f"{name}={'…' if name in SECRETS and value else repr(value)}" for name, value in fields
    )
    return f"{type(struct).__name__}({', '.join(shown)})"
