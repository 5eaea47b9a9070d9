"""Keys and tokens for tests, honest and forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SECRET = "a secret of sixty-four bytes, which is enough for all algorithms"
NOW = 1_000_000.0
CLAIMS = {"sub": "u17", "exp": NOW + 60}

ALGORITHMS = {
    "rsa": "RS256",
    "p256": "ES256",
    "p384": "ES384",
    "p521": "ES512",
    "ed25519": "EdDSA",
    "ed448": "EdDSA",
}
"""Kinds of keys, each with an algorithm of its own."""


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """Return a private key; of each kind there are as many as there are numbers."""
    curves: dict[str, ec.EllipticCurve] = {
        "p256": ec.SECP256R1(),
        "p384": ec.SECP384R1(),
        "p521": ec.SECP521R1(),
        "secp256k1": ec.SECP256K1(),
    }
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "short rsa":
        return rsa.generate_private_key(65537, 1024)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(curves[kind])


def public_pem(kind: str, number: int = 0) -> str:
    """Return the public half as a block of a PEM file."""
    key = private_key(kind, number).public_key()
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_pem(kind: str) -> str:
    """Return the private half as a block of a PEM file."""
    key = private_key(kind)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str(pem.decode())


def jwk(kind: str, number: int = 0, **members: Any) -> dict[str, Any]:
    """Return the public half as a member of a JSON Web Key Set."""
    reader: Any = jwt.get_algorithm_by_name(ALGORITHMS.get(kind, "ES256"))
    made = reader.to_jwk(private_key(kind, number).public_key(), as_dict=True)
    return {key: value for key, value in made.items() if key != "key_ops"} | members


def jwks(*keys: Any) -> bytes:
    """Return a JSON Web Key Set."""
    return json.dumps({"keys": keys}).encode()


def signed(
    kind: str = "secret",
    algorithm: str | None = None,
    *,
    number: int = 0,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a token with a valid signature; ``kind`` says of which key."""
    key = SECRET if kind == "secret" else private_key(kind, number)
    algorithm = algorithm or ALGORITHMS.get(kind, "HS256")
    return jwt.encode(CLAIMS | claims, key, algorithm, headers=header)


def forged(header: dict[str, Any], secret: bytes | None = None, **claims: Any) -> str:
    """Return a token that no library would make: any header, signed by HMAC-SHA256 or not at all.

    A library refuses to sign with a public key as if it were a secret; an attacker does not.
    """
    return sealed(json.dumps(header).encode(), json.dumps(CLAIMS | claims).encode(), secret)


def sealed(header: bytes, claims: bytes, secret: bytes | None) -> str:
    """Return any bytes in the form of a token."""
    text = f"{part(header)}.{part(claims)}"
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{part(mac)}"


def part(data: bytes) -> str:
    """Return one of the three parts of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
