"""``rooms token``: tokens made and looked at, and no secret on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rooms import JWT
from rooms.cli import main
from rooms.config import SECRETS
from rooms.core.identity import Identity
from tests.server.tokens.keys import SECRET, forged, public_pem


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text(SECRET)


def token(*arguments: str, said: str = "", **environment: str) -> Result:
    return CliRunner().invoke(main, ["token", *arguments], input=said, env=environment)


def create(*arguments: str) -> str:
    result = token("create", "--jwt-secret-file", "secret", *arguments)
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    return result.output.strip()


async def identity(made: str) -> Identity:
    return await JWT(SECRET).verify(made)


async def test_a_token_is_made_and_nothing_else_is_printed() -> None:
    made = create(
        "--user", "u17", "--name", "Ana", "--room", "team/1=join,publish", "--room", "news/#=join",
        "--claim", "level=5", "--claim", "role=admin", "--claim", 'tags=["a"]',
    )  # fmt: skip
    found = await identity(made)
    assert (found.user.id, found.user.name) == ("u17", "Ana")
    assert found.claims["rooms"] == {"team/1": ["join", "publish"], "news/#": ["join"]}
    assert [found.claims[name] for name in ("level", "role", "tags")] == [5, "admin", ["a"]]


async def test_what_is_granted_in_one_room_may_be_said_in_several_options() -> None:
    made = create("--user", "u17", "--room", "a=join", "--room", "b=join", "--room", "a=publish")
    assert (await identity(made)).claims["rooms"] == {"a": ["join", "publish"], "b": ["join"]}


async def test_without_rooms_the_token_does_not_speak_of_them() -> None:
    assert (await identity(create("--user", "u17"))).grants is None


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800)]
)
async def test_a_token_holds_so_long(ttl: str, seconds: int) -> None:
    claims = (await identity(create("--user", "u17", "--ttl", ttl))).claims
    assert 0 <= claims["exp"] - claims["iat"] - seconds <= 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--user", "c7"], "how the server calls connections"),
        (["--user", "u17", "--ttl", "soon"], "'soon' is no duration"),
        (["--user", "u17", "--ttl", "0"], "more than 0 seconds"),
        (["--user", "u17", "--room", "team/1"], "must be FILTER=ACTION"),
        (["--user", "u17", "--room", "team/1=fly"], "'fly' in 'team/1' is none of"),
        (["--user", "u17", "--claim", "x"], "must be NAME=VALUE"),
        (["--user", "u17", "--claim", "sub=x"], "'sub' is not one of your own"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(arguments: list[str], complaint: str) -> None:
    result = token("create", "--jwt-secret-file", "secret", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""


def test_the_keys_are_those_of_the_settings() -> None:
    assert "No keys are set" in token("create", "--user", "u17").stderr
    assert token("create", "--user", "u17", ROOMS_JWT_SECRET=SECRET).exit_code == 0
    Path("rooms.toml").write_text('jwt_secret_file = "secret"\n')
    assert token("create", "--user", "u17").exit_code == 0
    Path("keys").write_text(public_pem("p256"))
    Path("rooms.toml").write_text('jwt_key_file = "keys"\n')
    assert "with a secret only" in token("create", "--user", "u17").stderr


# Looked at.


def test_a_good_token_is_told_in_words() -> None:
    made = create("--user", "u17", "--name", "Ana", "--room", "team/1=join")
    result = token("check", "--jwt-secret-file", "secret", said=made + "\n")
    assert result.exit_code == 0
    assert "Signed by 'HS256'; it says:\n  sub: \"u17\"\n" in result.output
    assert '  rooms: {"team/1":["join"]}\n' in result.output
    assert "UTC)" in result.output
    assert "\nValid: 'u17' (Ana) may do what rooms says, until 2" in result.output
    assert made not in result.output
    assert token("check", made, ROOMS_JWT_SECRET=SECRET).exit_code == 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "That is no token. (it is no JSON Web Token)"),
        ("x" * 99_999, "The token is too large."),
        (forged({"alg": "none"}), "The token's key is not known here. (no key fits 'none')"),
        (forged({"alg": "HS256"}, SECRET.encode(), exp=5), "The token has expired."),
        (forged({"alg": "HS256"}, b"x" * 64), "The token's signature is wrong."),
    ],
)
def test_a_bad_token_is_told_why(said: str, why: str) -> None:
    result = token("check", "--jwt-secret-file", "secret", said=said)
    assert result.exit_code == 1
    assert f"Not valid: {why}" in result.output
    assert not said or said not in result.output


def test_what_a_token_says_does_not_reach_the_terminal_as_commands() -> None:
    said = forged({"alg": "HS256"}, b"x" * 64, name="\x1b[2J\u202e\u009b", **{"\x1b]0;x\x07": 1})
    result = token("check", "--jwt-secret-file", "secret", said=said)
    assert all(character.isprintable() for character in result.output.replace("\n", ""))


def test_without_keys_no_token_can_be_checked() -> None:
    assert token("check", said="x").exit_code == 2


# Secrets.


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("command", ["serve", "config"])
def test_a_secret_is_not_taken_from_a_command_line(name: str, command: str) -> None:
    option = "--" + name.replace("_", "-")
    result = CliRunner().invoke(main, [command, option, "hush"])
    assert result.exit_code == 2
    assert f"use {option}-file, ROOMS_{name.upper()} or rooms.toml" in result.stderr
    assert "hush" not in result.output
    assert f"{option} " not in CliRunner().invoke(main, [command, "--help"]).output


@pytest.mark.parametrize("url", ["redis://u:hush@127.0.0.1:1/0", "redis://hush@127.0.0.1:1"])
@pytest.mark.parametrize("command", ["serve", "config"])
def test_a_brokers_password_is_not_taken_from_a_command_line(url: str, command: str) -> None:
    result = CliRunner().invoke(main, [command, "--broker", url])
    assert result.exit_code == 2
    assert "use --broker-file, ROOMS_BROKER or rooms.toml" in result.stderr
    assert "hush" not in result.output
