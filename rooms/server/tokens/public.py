"""Public keys, out of PEM files and JSON Web Key Sets (RFC 7517)."""

from __future__ import annotations

import re
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct, field

from rooms.server.tokens.keys import CURVES, RSA_ALGORITHMS, Key

RSA_BITS = range(2048, 8193)
"""Shorter keys can be broken (RFC 7518, section 3.3), longer ones take long to check."""

KEYS = 100
"""Most keys of one set."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_READERS = {
    "RSA": jwt.get_algorithm_by_name("RS256"),
    "EC": jwt.get_algorithm_by_name("ES256"),
    "OKP": jwt.get_algorithm_by_name("EdDSA"),
}


class _Jwk(Struct, omit_defaults=True):
    """The members of a public key that count; ``d`` is there to know a private one by."""

    kty: str
    kid: str | None = None
    use: str = "sig"
    key_ops: list[str] = field(default_factory=lambda: ["verify"])
    alg: str | None = None
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""
    d: Any = None


class _Jwks(Struct):
    keys: list[Any]


def parse_keys(text: str) -> list[Key]:
    """Return the public keys of a file: PEM blocks one after the other, or a JSON Web Key Set.

    Raises:
        ValueError: There is none, or one that cannot be used; the message says which.
    """
    if text.lstrip().startswith("{"):
        return parse_jwks(text.encode())
    keys = [_pem_key(block[1], block[0]) for block in _BLOCK.finditer(text)]
    if not keys:
        raise ValueError("it holds no public key (PEM)")
    return keys


def _pem_key(label: str, block: str) -> Key:
    if "PRIVATE" in label:
        raise ValueError("it holds a private key, which only who makes tokens should have")
    if label not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
        raise ValueError(f"it holds a {label.lower()} where a public key is wanted")
    try:
        material = load_pem_public_key(block.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it holds a public key that cannot be read") from None
    return Key(_algorithms(material), material)


def parse_jwks(data: bytes) -> list[Key]:
    """Return the keys of a set that can check signatures; others in it are left out.

    Raises:
        ValueError: It is no set of keys, or none of them can be used.
    """
    try:
        members = msgspec.json.decode(data, type=_Jwks).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is no JSON Web Key Set") from None
    if len(members) > KEYS:
        raise ValueError(f"it holds {len(members)} keys, and {KEYS} are the most")
    keys = [key for member in members if (key := _jwk_key(member)) is not None]
    if not keys:
        raise ValueError("it holds no public key that can check signatures")
    return keys


def _jwk_key(member: object) -> Key | None:
    """Return the key of a set's member, or None if it is not one to check signatures with."""
    try:
        jwk = msgspec.convert(member, _Jwk)
        if jwk.use != "sig" or "verify" not in jwk.key_ops or jwk.d is not None:
            return None  # a private key that is published proves nothing
        material = _READERS[jwk.kty].from_jwk(msgspec.to_builtins(jwk))
        algorithms = _algorithms(material)
    except (jwt.PyJWTError, LookupError, TypeError, ValueError, UnsupportedAlgorithm):
        return None
    if jwk.alg is not None:
        algorithms &= {jwk.alg}
    return Key(algorithms, material, jwk.kid) if algorithms else None


def _algorithms(material: object) -> frozenset[str]:
    """Return what a public key may be used for (RFC 7518, section 3.1; RFC 8037)."""
    if isinstance(material, RSAPublicKey):
        if material.key_size not in RSA_BITS:
            raise ValueError(f"its RSA key has {material.key_size} bits: 2048 to 8192 are good")
        return RSA_ALGORITHMS
    if isinstance(material, EllipticCurvePublicKey) and material.curve.name in CURVES:
        return frozenset({CURVES[material.curve.name]})
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise ValueError("it holds a key of a kind that no algorithm here uses")
