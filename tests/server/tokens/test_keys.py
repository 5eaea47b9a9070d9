"""Keys: which are taken from where, and what each may be used for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rooms import JWT, ConfigError
from rooms.server.tokens.keys import Key, secret_key
from rooms.server.tokens.public import KEYS, parse_jwks, parse_keys
from tests.server.tokens.keys import (
    ALGORITHMS,
    SECRET,
    jwk,
    jwks,
    private_pem,
    public_pem,
)


@pytest.mark.parametrize(
    ("length", "algorithms"),
    [
        (32, {"HS256"}),
        (47, {"HS256"}),
        (48, {"HS256", "HS384"}),
        (64, {"HS256", "HS384", "HS512"}),
    ],
)
def test_a_secret_is_used_for_what_it_is_long_enough_for(length: int, algorithms: set[str]) -> None:
    assert secret_key("x" * length).algorithms == algorithms


@pytest.mark.parametrize("secret", ["x", "x" * 31, "\u00e9" * 15])
def test_a_short_secret_is_a_mistake_that_is_not_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="needs 32") as caught:
        secret_key(secret)
    assert secret * 2 not in str(caught.value)


@pytest.mark.parametrize("text", [public_pem("p256"), json.dumps(jwk("p256"))])
def test_a_public_key_is_no_secret(text: str) -> None:
    with pytest.raises(ConfigError, match="everybody may know"):
        secret_key(text)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_public_key_is_used_for_its_own_algorithms(kind: str) -> None:
    for keys in (parse_keys(public_pem(kind)), parse_jwks(jwks(jwk(kind)))):
        assert ALGORITHMS[kind] in keys[0].algorithms
        assert all(name[:2] == ALGORITHMS[kind][:2] for name in keys[0].algorithms) or (
            kind == "rsa"
        )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no public key"),
        ("-----BEGIN PUBLIC KEY-----", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "cannot be read"),
        (private_pem("p256"), "a private key"),
        ("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", "holds a certificate"),
        (public_pem("short rsa"), "1024 bits"),
        (public_pem("secp256k1"), "no algorithm here uses"),
        ("{}", "no JSON Web Key Set"),
        ("{" * 5000, "no JSON Web Key Set"),
    ],
)
def test_a_file_without_good_keys_is_a_mistake(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        JWT(key_file=str(tmp_path / "keys"))
    assert str(tmp_path) in str(caught.value)


def test_one_bad_key_of_a_file_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="1024 bits"):
        parse_keys(public_pem("p256") + public_pem("short rsa"))


# JSON Web Key Sets.


def test_a_set_names_its_keys_and_may_pin_their_algorithms() -> None:
    keys = parse_jwks(jwks(jwk("rsa", kid="a", alg="PS256"), jwk("p256")))
    assert [(key.id, sorted(key.algorithms)) for key in keys] == [
        ("a", ["PS256"]),
        (None, ["ES256"]),
    ]


@pytest.mark.parametrize(
    "member",
    [
        None,
        5,
        [],
        {},
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "shared"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": "!", "e": "?"},
        {"kty": "RSA", "n": 5, "e": 3},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-257", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "\u00e9"},
        jwk("p256", kid=5),
        jwk("p256", use="enc"),
        jwk("p256", key_ops=["encrypt"]),
        jwk("p256", alg="HS256"),
        jwk("p256", alg="none"),
        jwk("p256", alg="RS256"),
        jwk("p256", d="AAAA"),
        {"kty": "RSA", "n": "A" * 100, "e": "AQAB"},
    ],
)
def test_a_member_that_is_no_good_is_left_out(member: Any) -> None:
    keys = parse_jwks(jwks(member, jwk("p384", kid="good")))
    assert [key.id for key in keys] == ["good"]
    with pytest.raises(ValueError, match="no public key that can check"):
        parse_jwks(jwks(member))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"5", b"\xff", b"<html>", b'{"keys":5}', b"[" * 99999, b"{}"]
)
def test_what_is_no_set_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON Web Key Set"):
        parse_jwks(data)


def test_a_set_holds_so_many_keys_and_no_more() -> None:
    assert len(parse_jwks(jwks(*[jwk("ed25519")] * KEYS))) == KEYS
    with pytest.raises(ValueError, match="101 keys, and 100 are the most"):
        parse_jwks(jwks(*[jwk("ed25519")] * (KEYS + 1)))


# Places.


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"secret": SECRET, "key_file": "keys"},
        {"secret": SECRET, "secret_file": "secret"},
        {"jwks_url": "https://id.example", "key_file": "keys"},
    ],
)
def test_keys_are_in_one_place(places: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Name one place") as caught:
        JWT(**places)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("option", ["secret_file", "key_file"])
def test_a_file_that_cannot_be_read_is_a_mistake(option: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff" * 64)
    for name in ("gone", "", "binary"):
        file = str(tmp_path / name)
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            JWT(**{option: file})  # type: ignore[arg-type]
        assert file in str(caught.value)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"secret": SECRET, "algorithms": "none"}, "none"),
        ({"secret": SECRET, "algorithms": ["HS256", "RS256"]}, "RS256"),
        ({"secret": SECRET[:32], "algorithms": "HS512"}, "HS512"),
        ({"jwks_url": "https://id.example", "algorithms": "HS256"}, "HS256"),
        ({"jwks_url": "https://id.example", "algorithms": ["hs256"]}, "hs256"),
    ],
)
def test_an_algorithm_that_does_not_fit_the_keys_is_a_mistake(
    options: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ConfigError, match=f"Tokens cannot use '{wrong}' with these keys"):
        JWT(**options)


def test_a_url_that_is_not_safe_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="clear text"):
        JWT(jwks_url="http://id.example/keys")


def test_without_the_library_for_public_keys_it_is_said_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(public_pem("p256"))
    for module in ("rooms.server.tokens.public", "rooms.server.tokens.jwks"):
        monkeypatch.setitem(sys.modules, module, None)
    public: list[dict[str, Any]] = [
        {"key_file": str(tmp_path / "keys")},
        {"jwks_url": "https://id.example"},
    ]
    for places in public:
        with pytest.raises(ConfigError, match="pip install cryptography"):
            JWT(**places)
    assert JWT(SECRET).make("u17")


def test_a_key_does_not_show_what_it_is() -> None:
    assert SECRET not in repr(secret_key(SECRET))
    assert "material" not in repr(Key(frozenset(), object()))
