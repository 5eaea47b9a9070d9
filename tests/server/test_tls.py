"""`rooms.server.tls`: how the port speaks TLS, and with whom, over real sockets."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from rooms import App, ClientCertificate, Settings
from rooms.errors import ConfigError
from rooms.protocol.certificate import Certificate
from rooms.server.tls import tls_context
from rooms.serving import Server, serve
from rooms.testing import TestClient

AUTHORITY, STRANGERS = trustme.CA(), trustme.CA()
ANA = AUTHORITY.issue_cert("ana@example.org", common_name="Ana")


@asynccontextmanager
async def served(folder: Path, app: App | None = None, **settings: Any) -> AsyncIterator[Server]:
    """Serve an app by TLS; with certificates of clients, the same authority signs them."""
    file, signer = folder / "server.pem", folder / "ca.pem"
    AUTHORITY.issue_cert("rooms.test").private_key_and_cert_chain_pem.write_to_path(file)
    AUTHORITY.cert_pem.write_to_path(signer)
    if settings:
        settings["client_ca"] = str(signer)
    chosen = Settings(port=0, http=False, certfile=str(file), **settings)
    with trio.fail_after(10):
        async with serve(app or App(), chosen) as server:
            yield server


def client_context(certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context


@asynccontextmanager
async def connected(
    server: Server, context: ssl.SSLContext
) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    clear = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with clear:
        yield trio.SSLStream(clear, context, server_hostname="rooms.test", https_compatible=True)


async def refused(server: Server, context: ssl.SSLContext) -> str:
    """Return OpenSSL's word for how a connection is refused."""
    async with connected(server, context) as stream:
        try:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await stream.receive_some()
        except trio.BrokenResourceError as error:
            return str(error.__cause__)
    pytest.fail("it was not refused")


async def shown_certificate(server: Server, context: ssl.SSLContext) -> Certificate | None:
    """Return the certificate that the application sees of a new client."""
    async with connected(server, context) as stream:
        client = TestClient(stream)
        await client.handshake()
        await client.welcome()
        handshake = server.node.clients[client.id].handshake
        await client.close()
        return handshake.certificate


async def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    context = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # else our own side would refuse to speak it
    async with served(tmp_path) as server:
        assert "ALERT_PROTOCOL_VERSION" in (await refused(server, context)).upper()


async def test_a_cipher_without_forward_secrecy_is_refused(tmp_path: Path) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384")
    async with served(tmp_path) as server:
        assert "HANDSHAKE_FAILURE" in (await refused(server, context)).upper()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_newer_versions_are_spoken(tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    async with served(tmp_path) as server:
        assert await shown_certificate(server, context) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_application_sees_a_clients_certificate(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = client_context(ANA)
    context.maximum_version = version
    async with served(tmp_path, client_certificates="required") as server:
        certificate = await shown_certificate(server, context)
        assert certificate is not None
        assert (certificate.common_name, certificate.email) == ("Ana", "ana@example.org")


async def test_the_user_is_whom_the_certificate_names(tmp_path: Path) -> None:
    app = App(auth=ClientCertificate("email"))
    async with (
        served(tmp_path, app, client_certificates="required") as server,
        connected(server, client_context(ANA)) as stream,
    ):
        client = TestClient(stream)
        await client.handshake()
        assert (await client.welcome())["user"] == {"id": "ana@example.org", "name": "Ana"}
        await client.close()


async def test_a_certificate_is_not_asked_for_unless_that_is_set(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        assert await shown_certificate(server, client_context(ANA)) is None


async def test_whoever_has_none_is_refused_where_it_is_required(tmp_path: Path) -> None:
    async with served(tmp_path, client_certificates="required") as server:
        assert "CERTIFICATE_REQUIRED" in (await refused(server, client_context())).upper()


async def test_whoever_has_none_gets_in_where_it_is_optional(tmp_path: Path) -> None:
    async with served(tmp_path, client_certificates="optional") as server:
        assert await shown_certificate(server, client_context()) is None


@pytest.mark.parametrize("asked", ["optional", "required"])
async def test_a_certificate_of_strangers_is_refused(tmp_path: Path, asked: str) -> None:
    context = client_context(STRANGERS.issue_cert("ana@example.org", common_name="Ana"))
    async with served(tmp_path, client_certificates=asked) as server:
        assert "UNKNOWN_CA" in (await refused(server, context)).upper()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"client_ca": "ca.pem"}, "client_ca needs client_certificates"),
        ({"client_certificates": "optional"}, "need TLS"),
        ({"client_certificates": "required", "certfile": "cert.pem"}, "--client-ca"),
        ({"keyfile": "key.pem"}, "A keyfile needs a certfile"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_told(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        tls_context(Settings(**settings))


def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    AUTHORITY.issue_cert("rooms.test").private_key_and_cert_chain_pem.write_to_path(file)
    settings = Settings(certfile=str(file), client_certificates="optional", client_ca="nowhere")
    with pytest.raises(ConfigError, match="authorities in nowhere cannot be used"):
        tls_context(settings)


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    leaf = AUTHORITY.issue_cert("rooms.test")
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "key.pem").write_bytes(encrypted)
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    settings = Settings(certfile=str(tmp_path / "cert.pem"), keyfile=str(tmp_path / "key.pem"))
    with pytest.raises(ConfigError, match=r"key\.pem is encrypted"):
        tls_context(settings)
