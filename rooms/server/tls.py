"""How this server speaks TLS, made of its settings."""

from __future__ import annotations

import ssl

from rooms.config import Settings
from rooms.errors import ConfigError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption, nothing else (RFC 9325, section 4.2).

Those of TLS 1.3 are all of that kind.
"""

_VERIFY = {
    "off": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what the port speaks TLS 1.2 and 1.3 with; None if it speaks clear text.

    Raises:
        ConfigError: A file cannot be used, or one setting does not fit another.
    """
    _check(settings)
    if not settings.certfile:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, settings)
    _ask_for_certificates(context, settings)
    return context


def _check(settings: Settings) -> None:
    if settings.keyfile and not settings.certfile:
        raise ConfigError("A keyfile needs a certfile too: give --certfile.")
    if settings.client_certificates == "off":
        if settings.client_ca:
            raise ConfigError("client_ca needs client_certificates = 'optional' or 'required'.")
        return
    if not settings.certfile:
        raise ConfigError("Client certificates need TLS: give --certfile.")
    if not settings.client_ca:
        raise ConfigError("Client certificates need who signs them: give --client-ca FILE.")


def _load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    def ask() -> str:  # or else OpenSSL asks at the terminal, and the whole server waits for that
        raise ConfigError(
            f"The key in {settings.keyfile or settings.certfile} is encrypted, and nobody is asked "
            f"for its passphrase: let the server have one without, which only it can read."
        )

    try:
        context.load_cert_chain(settings.certfile, settings.keyfile or None, ask)
    except OSError as error:  # ssl.SSLError is one
        names = " and ".join(filter(None, [settings.certfile, settings.keyfile]))
        raise ConfigError(f"The certificate in {names} cannot be used: {error}.") from None


def _ask_for_certificates(context: ssl.SSLContext, settings: Settings) -> None:
    context.verify_mode = _VERIFY[settings.client_certificates]
    if settings.client_ca:
        try:
            context.load_verify_locations(settings.client_ca)
        except OSError as error:
            message = f"The authorities in {settings.client_ca} cannot be used: {error}."
            raise ConfigError(message) from None
