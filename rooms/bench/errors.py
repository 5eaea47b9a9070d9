"""What can go wrong with a measurement."""

from __future__ import annotations


class BenchError(Exception):
    """A measurement that cannot be made; the message says why and what to do."""


class Refused(Exception):
    """The server did not take a connection, or ended it; the message says how."""
