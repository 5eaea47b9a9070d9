"""Users who prove who they are by a certificate of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rooms.core.identity import Identity
from rooms.errors import Refused
from rooms.protocol.certificate import Certificate
from rooms.protocol.commands import User
from rooms.server.auth import Authenticator, Credentials

NameKind = Literal["common_name", "email", "uri"]

READ: dict[NameKind, Callable[[Certificate], str | None]] = {
    "common_name": lambda certificate: certificate.common_name,
    "email": lambda certificate: certificate.email,
    "uri": lambda certificate: certificate.uri,
}


class ClientCertificate(Authenticator):
    """Takes the user from the certificate that the client showed in the TLS handshake.

    The settings ``client_ca`` and ``client_certificates`` say who may sign them, and whether
    everybody must have one.  The connection ends when the certificate expires.

    Args:
        user: What of it is the user's id: the subject's ``common_name``, or its only ``email`` or
            ``uri`` among the other names.  The subject's common name, if any, is shown to others.
    """

    def __init__(self, user: NameKind = "common_name") -> None:
        self._kind = user
        self._read = READ[user]

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        certificate = credentials.certificate
        if certificate is None:
            return None
        user_id = self._read(certificate)
        if not user_id:
            wanted = self._kind.replace("_", " ")
            raise Refused(f"Your certificate must have exactly one {wanted}: it names the user.")
        user = User(user_id, certificate.common_name or user_id)
        return Identity(user=user, expires_at=certificate.expires_at)
