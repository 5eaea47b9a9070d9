"""Patterns of paths: ``/rooms/{room}`` names whatever stands in that place."""

from __future__ import annotations

import re
from collections.abc import Mapping

PARAMETER = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")
"""A place in a path: whether it takes all that follow, and its name."""


class PathPattern:
    """A path in which ``{name}`` is any one level, and a last ``{+name}`` all that follow.

    A level is what stands between two ``/``, and never empty; RFC 6570 writes parameters so.

    Attributes:
        names: Of its parameters, in their order.

    Raises:
        ValueError: The pattern does not begin with ``/``, names something twice, or holds a brace
            that is no part of a parameter.
    """

    __slots__ = ("_match", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = tuple(match[2] for match in PARAMETER.finditer(text))
        if not text.startswith("/"):
            raise ValueError(f"the path {text!r} must begin with /")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"the path {text!r} names a parameter twice")
        self._match = re.compile(_expression(text)).fullmatch

    def __repr__(self) -> str:
        return f"PathPattern({self.text!r})"

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the parameters that ``path`` has by this pattern, or None if it does not fit."""
        found = self._match(path)
        return None if found is None else found.groupdict()


def _expression(text: str) -> str:
    """Return the pattern as a regular expression that takes linear time."""
    parts: list[str] = []
    end = 0
    for found in PARAMETER.finditer(text):
        if found[1] and found.end() < len(text):
            raise ValueError(f"in the path {text!r}, {found[0]} must be last")
        parts += [_literal(text, end, found.start())]
        parts += [f"(?P<{found[2]}>{'.+' if found[1] else '[^/]+'})"]
        end = found.end()
    return "(?s:" + "".join([*parts, _literal(text, end, len(text))]) + ")"


def _literal(text: str, start: int, end: int) -> str:
    literal = text[start:end]
    if "{" in literal or "}" in literal:
        raise ValueError(f"in the path {text!r}, a parameter is written {{name}} or {{+name}}")
    return re.escape(literal)
