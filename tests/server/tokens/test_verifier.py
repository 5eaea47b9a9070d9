"""`JWT`: which tokens are taken, and which attacks are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rooms import JWT, ConfigError
from rooms.core.identity import Identity
from rooms.errors import InvalidToken
from rooms.protocol.commands import User
from rooms.server.auth import Credentials
from rooms.server.tokens.keys import RSA_ALGORITHMS, FixedKeys
from tests.server.tokens.keys import (
    ALGORITHMS,
    CLAIMS,
    NOW,
    SECRET,
    forged,
    jwk,
    jwks,
    part,
    public_pem,
    sealed,
    signed,
)


def now() -> float:
    return NOW


def secret_verifier(**options: Any) -> JWT:
    return JWT(SECRET, clock=now, **options)


@pytest.fixture
def rsa_verifier(tmp_path: Path) -> JWT:
    return file_verifier(tmp_path, public_pem("rsa"))


def file_verifier(folder: Path, content: str, **options: Any) -> JWT:
    (folder / "keys").write_text(content)
    return JWT(key_file=str(folder / "keys"), clock=now, **options)


async def refusal(verifier: JWT, token: str) -> InvalidToken:
    """Return why a token is refused, after a look at what is told of it."""
    with pytest.raises(InvalidToken) as caught:
        await verifier.verify(token)
    error = caught.value
    assert error.__cause__ is None
    for told in (error.reason, error.detail, repr(error)):
        assert len(told) < 300
        assert told.isprintable()
        assert not any(piece in told for piece in token.split(".") if len(piece) > 8)
        assert SECRET not in told
    return error


# What is taken.


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_secret_takes_its_algorithms(algorithm: str) -> None:
    identity = await secret_verifier().verify(signed(algorithm=algorithm))
    assert identity == Identity(user=User("u17", "u17"), expires_at=NOW + 70, claims=dict(CLAIMS))


@pytest.mark.parametrize("kind", ALGORITHMS)
async def test_a_public_key_takes_its_algorithm(kind: str, tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem(kind))
    assert (await verifier.verify(signed(kind))).user.id == "u17"


@pytest.mark.parametrize("algorithm", sorted(RSA_ALGORITHMS))
async def test_an_rsa_key_takes_all_of_its_algorithms(algorithm: str, rsa_verifier: JWT) -> None:
    assert (await rsa_verifier.verify(signed("rsa", algorithm))).user.id == "u17"


async def test_a_key_file_may_hold_several_keys(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem("rsa") + "\n" + public_pem("p256"))
    for kind in ("rsa", "p256"):
        token = signed(kind, header={"kid": "keys of a PEM file have no names"})
        assert (await verifier.verify(token)).user.id == "u17"


async def test_a_key_file_may_be_a_key_set(tmp_path: Path) -> None:
    keys = jwks(jwk("p256", 0, kid="a"), jwk("p256", 1, kid="b"))
    verifier = file_verifier(tmp_path, keys.decode())
    await verifier.verify(signed("p256", number=1, header={"kid": "b"}))
    await verifier.verify(signed("p256", number=1))
    with pytest.raises(InvalidToken, match="signature is wrong"):
        await verifier.verify(signed("p256", number=1, header={"kid": "a"}))


async def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    verifier = JWT(secret_file=str(tmp_path / "secret"), clock=now)
    assert (await verifier.verify(signed())).user.id == "u17"


# Attacks.


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_an_unsigned_token_is_refused(name: str, rsa_verifier: JWT) -> None:
    for verifier in (secret_verifier(), rsa_verifier):
        for secret in (None, b""):
            assert (await refusal(verifier, forged({"alg": name}, secret))).reason == (
                "The token's key is not known here."
            )


@pytest.mark.parametrize("ending", ["", "\n"])
async def test_the_public_key_is_no_secret(rsa_verifier: JWT, ending: str) -> None:
    token = forged({"alg": "HS256"}, (public_pem("rsa").rstrip() + ending).encode())
    assert (await refusal(rsa_verifier, token)).detail == "no key fits 'HS256'"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "PS512"])
async def test_a_secret_takes_no_public_key_s_algorithm(algorithm: str) -> None:
    token = forged({"alg": algorithm}, SECRET.encode())
    assert (await refusal(secret_verifier(), token)).detail == f"no key fits '{algorithm}'"


async def test_a_curve_takes_no_other_curve_s_algorithm(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem("p256"))
    assert (await refusal(verifier, signed("p384"))).detail == "no key fits 'ES384'"


@pytest.mark.parametrize("algorithm", [["HS256"], {"HS256": 1}, 5, None])
async def test_an_algorithm_that_is_no_name_is_refused(algorithm: object) -> None:
    token = forged({"alg": algorithm}, SECRET.encode())
    assert (await refusal(secret_verifier(), token)).reason == "That is no token."


async def test_a_key_that_the_token_brings_along_is_not_heard(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, jwks(jwk("p256", kid="ours")).decode())
    theirs = {
        "jwk": jwk("p256", 1),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/keys",
        "kid": "ours",
    }
    error = await refusal(verifier, signed("p256", number=1, header=theirs))
    assert error.reason == "The token's signature is wrong."


@pytest.mark.parametrize("name", ["", "theirs", "../../dev/null", "' OR 1=1", "x\r\ny", "k" * 5000])
async def test_an_unknown_key_is_refused(tmp_path: Path, name: str) -> None:
    verifier = file_verifier(tmp_path, jwks(jwk("p256", kid="ours")).decode())
    error = await refusal(verifier, signed("p256", header={"kid": name}))
    assert error.reason == "The token's key is not known here."


async def test_the_key_of_another_issuer_is_refused_under_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours = file_verifier(tmp_path, jwks(jwk("p256", 0, kid="1")).decode(), issuer="ours")
    theirs = file_verifier(
        tmp_path / "other", jwks(jwk("p256", 1, kid="1")).decode(), issuer="theirs"
    )
    token = signed("p256", number=1, header={"kid": "1"}, iss="ours")
    assert (await refusal(ours, token)).reason == "The token's signature is wrong."
    assert (await refusal(theirs, token)).detail == "the token is from 'ours'"


async def test_another_secret_is_refused() -> None:
    token = forged({"alg": "HS256"}, b"another secret of many bytes, just not the one that counts")
    assert (await refusal(secret_verifier(), token)).detail == "wrong signature, 'HS256'"


async def test_claims_under_another_token_s_signature_are_refused() -> None:
    header, _, signature = signed().split(".")
    claims = signed(sub="admin").split(".")[1]
    error = await refusal(secret_verifier(), f"{header}.{claims}.{signature}")
    assert error.reason == "The token's signature is wrong."


@pytest.mark.parametrize("size", [8193, 100_000])
async def test_a_large_token_is_refused_unread(size: int) -> None:
    token = signed(padding="x" * size)
    error = await refusal(secret_verifier(), token)
    assert error.reason == "The token is too large."
    with pytest.raises(InvalidToken, match="too large"):
        await secret_verifier(issuer="ours").authenticate(Credentials("/ws", token=token))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        "sch\u00f6n.e30.e30",
        "\ud800.e30.e30",
        part(b"[" * 3000) + ".e30.e30",
        part(b"[]") + ".e30.e30",
        part(b'{"alg":"HS256","kid":5}') + ".e30.e30",
        part(b'{"alg":"HS256","crit":["x"],"x":1}') + ".e30.e30",
        " e30.e30.e30",
    ],
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    assert (await refusal(secret_verifier(), token)).reason == "That is no token."


async def test_claims_outside_of_the_token_are_not_taken() -> None:
    for extension in ({"b64": False}, {"b64": False, "crit": ["b64"]}):
        token = forged({"alg": "HS256"} | extension, SECRET.encode())
        await refusal(secret_verifier(), token)
        header, _, signature = token.split(".")
        await refusal(secret_verifier(), f"{header}..{signature}")


async def test_a_signed_token_that_asks_for_more_than_is_known_here_is_refused() -> None:
    token = forged({"alg": "HS256", "crit": ["more"], "more": 1}, SECRET.encode())
    assert (await refusal(secret_verifier(), token)).reason == "That is no token."


@pytest.mark.parametrize("claims", [b"[]", b"", b"5", b"\xff", b"[" * 5000, b'{"sub":NaN}'])
async def test_signed_claims_that_are_no_object_are_refused(claims: bytes) -> None:
    token = sealed(b'{"alg":"HS256"}', claims, SECRET.encode())
    assert (await refusal(secret_verifier(), token)).reason == "That is no token."


async def test_claims_are_read_after_the_signature_only() -> None:
    token = forged({"alg": "HS256"}, b"x" * 32, exp=0, sub="\n")
    assert (await refusal(secret_verifier(), token)).reason == "The token's signature is wrong."


@pytest.mark.parametrize(
    ("options", "claims", "detail"),
    [
        ({}, {"exp": NOW - 10}, "exp was 10 s ago"),
        ({"leeway": 0}, {"exp": NOW}, "exp was 0 s ago"),
        ({}, {"nbf": NOW + 11}, "nbf is 11 s from now"),
        ({"audience": "rooms"}, {"aud": "else"}, "the token is for 'else'"),
        ({"audience": "rooms"}, {}, "the token is for nobody in particular"),
        ({"issuer": ["a", "b"]}, {"iss": "c"}, "the token is from 'c'"),
        ({"required": "team"}, {}, "the token lacks team"),
    ],
)
async def test_the_claims_are_held_to_the_rules(
    options: dict[str, Any], claims: dict[str, Any], detail: str
) -> None:
    assert (await refusal(secret_verifier(**options), signed(**claims))).detail == detail


# Pins.


async def test_an_algorithm_that_is_not_pinned_is_refused(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem("rsa"), algorithms=["PS256"])
    await verifier.verify(signed("rsa", "PS256"))
    error = await refusal(verifier, signed("rsa", "RS256"))
    assert error.reason == "The token's algorithm is not taken here."


# One of several authenticators.


async def test_a_client_without_a_token_is_left_to_others() -> None:
    assert await secret_verifier().authenticate(Credentials("/ws")) is None


async def test_a_token_of_another_issuer_is_left_to_others() -> None:
    verifier = secret_verifier(issuer="ours")
    for token in (signed(iss="theirs"), forged({"alg": "HS256"}, iss="theirs")):
        assert await verifier.authenticate(Credentials("/ws", token=token)) is None


@pytest.mark.parametrize("token", ["", "opaque", "\u00e9", "without", "number"])
async def test_a_token_of_nobody_else_is_not_left_to_others(token: str) -> None:
    made = {
        "without": signed(),
        "number": forged({"alg": "HS256"}, SECRET.encode(), iss=5),
    }
    verifier = secret_verifier(issuer="ours")
    with pytest.raises(InvalidToken):
        await verifier.authenticate(Credentials("/ws", token=made.get(token, token)))


async def test_a_token_of_ours_says_who_it_is() -> None:
    credentials = Credentials("/ws", token=signed(iss="ours"))
    identity = await secret_verifier(issuer="ours").authenticate(credentials)
    assert identity is not None
    assert identity.user.id == "u17"


# Again.


async def test_files_are_read_again(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem("p256"))
    (tmp_path / "keys").write_text(public_pem("ed25519"))
    verifier.reload()
    assert (await verifier.verify(signed("ed25519"))).user.id == "u17"
    assert (await refusal(verifier, signed("p256"))).detail == "no key fits 'ES256'"


async def test_a_file_that_has_gone_bad_changes_nothing(tmp_path: Path) -> None:
    verifier = file_verifier(tmp_path, public_pem("p256"))
    (tmp_path / "keys").write_text("garbage")
    with pytest.raises(ConfigError, match="no public key"):
        verifier.reload()
    assert (await verifier.verify(signed("p256"))).user.id == "u17"


# Nothing shows the secret.


def test_a_verifier_shows_nothing_of_its_keys() -> None:
    verifier = secret_verifier()
    parts = vars(verifier).values()
    keys = [key for each in parts if isinstance(each, FixedKeys) for key in each.keys]
    assert keys
    assert SECRET not in repr([verifier, list(parts), keys])
