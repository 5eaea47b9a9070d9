"""`JWT.make`: tokens for those who come with them later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from rooms import JWT, Anonymous, App, ConfigError, Settings
from rooms.server.tokens.signatures import TOKEN_BYTES
from tests.server.tokens.keys import NOW, SECRET, public_pem


def verifier(**options: Any) -> JWT:
    return JWT(SECRET, clock=lambda: NOW, **options)


async def test_a_token_that_was_made_is_taken() -> None:
    maker = verifier(issuer=["us", "them"], audience=["chat", "else"], required=["exp", "team"])
    token = maker.make(
        "u17", ttl=60, name="Ana", rooms={"team/1": ["join", "publish"]}, claims={"team": 1}
    )
    identity = await maker.verify(token)
    assert (identity.user.id, identity.user.name) == ("u17", "Ana")
    assert identity.expires_at == NOW + 70
    assert identity.grants is not None
    assert identity.grants.allow("publish", "team/1")
    assert not identity.grants.allow("join", "team/2")
    assert identity.claims["iss"] == "us"
    assert identity.claims["aud"] == "chat"
    assert identity.claims["team"] == 1


async def test_each_token_has_an_id_of_its_own() -> None:
    ids = {(await verifier().verify(verifier().make("u17"))).token_id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(each) == 16 for each in ids)


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [({}, "HS256"), ({"algorithms": "HS512"}, "HS512"), ({"algorithms": ["HS384"]}, "HS384")],
)
def test_it_is_signed_as_it_will_be_checked(options: dict[str, Any], algorithm: str) -> None:
    token = verifier(**options).make("u17")
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT"}


async def test_without_rooms_the_application_decides_and_with_none_nothing_is_allowed() -> None:
    assert (await verifier().verify(verifier().make("u17"))).grants is None
    grants = (await verifier().verify(verifier().make("u17", rooms={}))).grants
    assert grants is not None
    assert not grants.allow("join", "lobby")


@pytest.mark.parametrize(
    ("user", "options", "complaint"),
    [
        ("", {}, "sub: A name must be"),
        ("c7", {}, "how the server calls connections"),
        ("u17", {"name": "a\nb"}, "name: A name must be printable"),
        ("u17", {"rooms": {"a#": ["join"]}}, "rooms: 'a#' is not a filter"),
        ("u17", {"rooms": {"a": "join"}}, "rooms: 'i' in 'a' is none of"),
        ("u17", {"rooms": {"a": ["fly"]}}, "rooms: 'fly' in 'a' is none of join"),
        ("u17", {"ttl": 0}, "more than 0 seconds"),
        ("u17", {"ttl": float("nan")}, "more than 0 seconds"),
        ("u17", {"ttl": 1e13}, "exp is no number"),
        ("u17", {"claims": {"exp": 5}}, "'exp' is not one of your own"),
        ("u17", {"claims": {"aud": "else"}}, "the token is for 'else'"),
        ("u17", {"claims": {"more": "x" * TOKEN_BYTES}}, "too large"),
    ],
)
def test_a_token_that_would_be_refused_is_not_made(
    user: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        verifier().make(user, **options)


def test_public_keys_make_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(public_pem("p256"))
    public: list[dict[str, Any]] = [
        {"key_file": str(tmp_path / "keys")},
        {"jwks_url": "https://id.example"},
    ]
    for places in public:
        with pytest.raises(ConfigError, match="with a secret only"):
            JWT(**places).make("u17")


# By an application.


async def test_an_application_makes_the_tokens_that_it_takes() -> None:
    maker = JWT(SECRET)
    token = App(auth=[Anonymous(), maker]).make_token("u17", rooms={"team/1": ["join"]}, ttl=5)
    assert (await maker.verify(token)).claims["rooms"] == {"team/1": ["join"]}


async def test_an_application_makes_the_tokens_of_its_settings() -> None:
    app = App()
    async with app.running(Settings(jwt_secret=SECRET)):
        assert (await JWT(SECRET).verify(app.make_token("u17"))).user.id == "u17"


async def test_without_a_secret_an_application_makes_none() -> None:
    app = App()
    async with app.running():
        with pytest.raises(ConfigError, match="with a secret only"):
            app.make_token("u17")
    with pytest.raises(ConfigError, match="with a secret only"):
        App(auth=JWT(jwks_url="https://id.example")).make_token("u17")
