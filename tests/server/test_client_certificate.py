"""`rooms.server.client_certificate`: users who prove who they are by a certificate."""

from __future__ import annotations

import pytest

from rooms import ClientCertificate, Credentials, Identity, Refused, User
from rooms.protocol.certificate import Certificate, parse_certificate
from rooms.server.client_certificate import NameKind

ANA = Certificate(
    (("organizationName", "Example"), ("commonName", "Ana")),
    (("email", "ana@example.org"), ("URI", "spiffe://example.org/ana"), ("DNS", "ana.test")),
    1_800_000_000.0,
)


@pytest.mark.parametrize(
    ("kind", "user_id"),
    [
        ("common_name", "Ana"),
        ("email", "ana@example.org"),
        ("uri", "spiffe://example.org/ana"),
    ],
)
async def test_the_user_is_whom_the_certificate_names(kind: NameKind, user_id: str) -> None:
    found = await ClientCertificate(kind).authenticate(Credentials("/ws", certificate=ANA))
    assert found == Identity(user=User(user_id, "Ana"), expires_at=1_800_000_000.0)


async def test_whoever_shows_none_is_left_to_others() -> None:
    assert await ClientCertificate().authenticate(Credentials("/ws")) is None


@pytest.mark.parametrize(
    "certificate",
    [
        ANA._replace(subject=()),
        ANA._replace(subject=(("commonName", "Ana"), ("commonName", "Root"))),
        ANA._replace(subject=(("commonName", ""),)),
    ],
)
async def test_a_certificate_that_names_nobody_or_several_is_refused(
    certificate: Certificate,
) -> None:
    with pytest.raises(Refused, match="exactly one common name") as caught:
        await ClientCertificate().authenticate(Credentials("/ws", certificate=certificate))
    assert caught.value.status == 401


def test_what_openssl_tells_becomes_a_certificate() -> None:
    peer = {
        "subject": ((("countryName", "DE"),), (("commonName", "Ana"), ("title", "Dr"))),
        "subjectAltName": (("URI", "spiffe://example.org/ana"),),
        "notAfter": "Jan  5 09:34:43 2030 GMT",
    }
    assert parse_certificate(peer) == Certificate(
        (("countryName", "DE"), ("commonName", "Ana"), ("title", "Dr")),
        (("URI", "spiffe://example.org/ana"),),
        1_893_836_083.0,
    )
    assert parse_certificate({}) is parse_certificate(None) is None
