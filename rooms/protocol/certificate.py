"""What a client's certificate says of its owner (RFC 5280)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Pairs = tuple[tuple[str, str], ...]


class Certificate(NamedTuple):
    """A certificate that has been verified: who holds its key is whom it names.

    Attributes:
        subject: The parts of the subject's name with their kinds, such as
            ``("commonName", "Ana")`` (section 4.1.2.6).
        names: Its other names with their kinds, such as ``("email", "ana@example.org")`` or
            ``("URI", "spiffe://example.org/ana")`` (section 4.2.1.6).
        expires_at: Seconds since 1970 after which it proves nothing more.
    """

    subject: Pairs
    names: Pairs
    expires_at: float

    @property
    def common_name(self) -> str | None:
        """The subject's only common name; None if there is none, or more than one."""
        return only(self.subject, "commonName")

    @property
    def email(self) -> str | None:
        """The only address for mail among the other names."""
        return only(self.names, "email")

    @property
    def uri(self) -> str | None:
        """The only URI among the other names."""
        return only(self.names, "URI")


def only(pairs: Iterable[tuple[str, str]], kind: str) -> str | None:
    """Return the value of a kind; None if there is none, or more than one to choose from."""
    values = [value for found, value in pairs if found == kind]
    return values[0] if len(values) == 1 else None


def parse_certificate(peer: Mapping[str, Any] | None) -> Certificate | None:
    """Return what `ssl.SSLObject.getpeercert` tells, or None if it was not verified."""
    if not peer:
        return None
    subject = tuple(pair for part in peer.get("subject", ()) for pair in part)
    names = tuple(pair for pair in peer.get("subjectAltName", ()) if len(pair) == 2)
    return Certificate(subject, names, ssl.cert_time_to_seconds(peer["notAfter"]))
