"""Tokens by the settings: who is let in where the application does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from rooms import JWT, App, ConfigError, Settings
from rooms.core.claims import Rules
from rooms.errors import InvalidToken
from rooms.server.auth import Anonymous
from rooms.server.reload import NEEDS_RESTART
from rooms.server.tokens.configured import auth_for, jwt_from
from rooms.serving import serve
from tests.server.tokens.keys import SECRET, private_pem, public_pem


def test_without_keys_the_settings_ask_for_no_tokens() -> None:
    assert jwt_from(Settings()) is None
    assert auth_for([], Settings()) == []


def test_each_place_of_keys_asks_for_tokens(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "keys").write_text(public_pem("p256"))
    for settings in (
        Settings(jwt_secret=SECRET),
        Settings(jwt_secret_file=str(tmp_path / "secret")),
        Settings(jwt_key_file=str(tmp_path / "keys")),
        Settings(jwks_url="https://id.example/keys"),
    ):
        (found,) = auth_for([], settings)
        assert isinstance(found, JWT)


async def test_the_settings_say_what_tokens_must_say() -> None:
    made = jwt_from(
        Settings(
            jwt_secret=SECRET,
            jwt_audience=("chat",),
            jwt_issuer=("us",),
            jwt_leeway=3,
            jwt_required=("exp", "jti"),
            jwt_algorithms=("HS512",),
        )
    )
    assert made is not None
    wanted = Rules(
        audiences=frozenset({"chat"}),
        issuers=frozenset({"us"}),
        leeway=3,
        required=frozenset({"exp", "jti"}),
    )
    assert wanted in vars(made).values()
    assert (await made.verify(made.make("u17"))).claims["aud"] == "chat"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"jwt_secret": SECRET, "jwks_url": "https://id.example"}, "Name one place"),
        ({"jwt_secret": "short"}, "needs 32"),
        ({"jwt_secret_file": "gone"}, "'gone' cannot be read"),
        ({"jwt_key_file": "gone"}, "'gone' cannot be read"),
        ({"jwks_url": "http://id.example"}, "clear text"),
        ({"jwt_secret": SECRET, "jwt_algorithms": ("none",)}, "cannot use 'none'"),
        ({"jwt_audience": ("chat",)}, "Name one place"),
        ({"jwt_issuer": ("us",)}, "Name one place"),
        ({"jwt_algorithms": ("HS256",)}, "Name one place"),
    ],
)
def test_what_cannot_be_keeps_the_server_from_starting(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        jwt_from(Settings(**settings))
    assert SECRET not in str(caught.value)


def test_the_application_has_the_say_and_the_log_tells() -> None:
    own = [Anonymous()]
    with capture_logs() as logs:
        assert auth_for(own, Settings(jwt_secret=SECRET)) is own
        assert auth_for(own, Settings()) is own
    assert len(logs) == 1
    assert "not used" in logs[0]["event"]


async def test_a_server_reads_its_keys_again_or_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    settings = Settings(port=0, http=False, jwt_secret_file=str(file))
    async with serve(App(), settings) as server:
        assert server.node.gate is not None
        (verifier,) = server.node.gate.authenticators
        assert isinstance(verifier, JWT)
        old = verifier.make("u17")
        file.write_text(SECRET[::-1])
        server.reload(settings)
        new = verifier.make("u17")
        assert (await verifier.verify(new)).user.id == "u17"
        with pytest.raises(InvalidToken, match="signature is wrong"):
            await verifier.verify(old)
        file.write_text("short")
        with pytest.raises(ConfigError, match="needs 32"):
            server.reload(replace(settings, origins=("https://a.example",)))
        assert (await verifier.verify(new)).user.id == "u17"
        assert not server.node.admission.origins
        file.write_text(SECRET)
        with pytest.raises(ConfigError, match="is not an origin"):
            server.reload(replace(settings, origins=("a.example",)))
        assert (await verifier.verify(new)).user.id == "u17"


async def test_a_server_does_not_start_with_a_wrong_key(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(private_pem("p256"))
    settings = Settings(port=0, http=False, jwt_key_file=str(tmp_path / "keys"))
    with pytest.raises(ConfigError, match="private key"):
        async with serve(App(), settings):
            pass


def test_other_settings_of_tokens_wait_for_a_restart() -> None:
    names = {name for name in Settings.__struct_fields__ if name.startswith(("jwt", "jwks"))}
    assert len(names) == 9
    assert names <= NEEDS_RESTART
