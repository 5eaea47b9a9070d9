"""`rooms.config`: one name a setting, and where each value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rooms.config import KEYS, SECRETS, Loaded, Settings, load, unknown_variables
from rooms.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rooms.toml"


def test_without_anything_all_settings_have_their_defaults() -> None:
    assert load() == Loaded(Settings(), {})
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ROOMS_PORT", "8123", 8123),
        ("ROOMS_HEAD_SECONDS", "0.5", 0.5),
        ("ROOMS_LOG_LEVEL", "debug", "debug"),
        ("ROOMS_HOST", "::", "::"),
        ("ROOMS_ORIGINS", "https://a.example, https://b.example,", None),
    ],
)
def test_the_environment_sets_by_name_in_capitals(variable: str, text: str, value: object) -> None:
    name = variable.removeprefix("ROOMS_").lower()
    loaded = load(environment={variable: text})
    wanted = ("https://a.example", "https://b.example") if value is None else value
    assert getattr(loaded.settings, name) == wanted
    assert loaded.sources == {name: variable}


def test_variables_of_others_and_unknown_names_are_left_alone() -> None:
    environment = {"PORT": "1", "ROOMS_": "x", "ROOMS_FLAVOUR": "mint", "rooms_port": "2"}
    assert load(environment=environment) == Loaded(Settings(), {})


def test_what_looks_like_a_setting_is_named_with_the_nearest_that_is_one() -> None:
    environment = {
        "PORT": "1",
        "ROOMS_PORT": "2",
        "ROOMS_PROT": "hush",
        "ROOMS_JWT_SECRTE": "hush",
        "ROOMS_FLAVOUR": "hush",
        "_ROOMS_WORKER": "3",
    }
    assert unknown_variables(environment) == (
        "ROOMS_PROT is no setting, ROOMS_PORT is; "
        "ROOMS_JWT_SECRTE is no setting, ROOMS_JWT_SECRET is; "
        "ROOMS_FLAVOUR is no setting"
    )
    assert unknown_variables({"ROOMS_PORT": "2"}) == ""


def test_a_file_sets_by_the_same_name(file: Path) -> None:
    file.write_text('port = 8123\norigins = ["https://a.example"]\nping_seconds = 5\n')
    loaded = load(file=file)
    assert loaded.settings == Settings(port=8123, origins=("https://a.example",), ping_seconds=5)
    assert loaded.sources == dict.fromkeys(["port", "origins", "ping_seconds"], str(file))


def test_flags_outweigh_the_environment_which_outweighs_the_file(file: Path) -> None:
    file.write_text('port = 1\nhost = "file"\nlog_level = "error"\n')
    loaded = load(
        flags={"port": 3, "host": None},
        environment={"ROOMS_PORT": "2", "ROOMS_HOST": "environment"},
        file=file,
    )
    settings = loaded.settings
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "error")
    assert loaded.sources == {
        "port": "--port",
        "host": "ROOMS_HOST",
        "log_level": str(file),
    }


def test_every_setting_can_be_set_by_a_text(file: Path) -> None:
    for field in msgspec.structs.fields(Settings):
        default = field.default
        text = ",".join(default) if isinstance(default, tuple) else str(default)
        if field.name in KEYS:
            continue  # they may not be empty, see below
        loaded = load(environment={f"ROOMS_{field.name.upper()}": text})
        assert getattr(loaded.settings, field.name) == field.default


# Mistakes.


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"environment": {"ROOMS_PORT": "many"}}, "ROOMS_PORT 'many' does not fit port: "),
        (
            {"flags": {"log_level": "INFO"}},
            "--log-level 'INFO' does not fit log_level: choose debug, info, warning or error",
        ),
        ({"environment": {"ROOMS_HTTP": "no"}}, "'no' does not fit http: choose true or false"),
        ({"flags": {"head_seconds": "soon"}}, "--head-seconds 'soon' does not fit head_seconds"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_source(
    sources: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(**sources)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("port = ", "cannot be read"),
        ("port = 1\nflavour = 2\n", "sets 'flavour', which is not a setting\\."),
        (
            "message-bytes = 2\n",
            "sets 'message-bytes', which is not a setting, as message_bytes is",
        ),
        ('port = "many"\n', "'many' does not fit port"),
        ('origins = "https://a.example"\nport = []\n', "does not fit port"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_the_file(
    file: Path, content: str, complaint: str
) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(file=file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_a_mistake(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=file)


def test_a_file_that_is_no_text_is_a_mistake(file: Path) -> None:
    file.write_bytes(b"host = '\xff'")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=file)


# Secrets.


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_never_shown(name: str) -> None:
    loaded = load(flags={name: "hush"})
    assert "hush" not in repr(loaded)
    assert f"{name}='(hidden)'" in repr(loaded.settings)
    assert f"{name}={getattr(Settings(), name)!r}" in repr(Settings())


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_can_be_in_a_file_of_its_own(name: str) -> None:
    assert f"{name}_file" in Settings.__struct_fields__
    assert f"{name}_file" not in SECRETS


def test_a_secret_that_does_not_fit_is_not_shown_either() -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"admin_token": ["hush"]})
    assert "hush" not in str(caught.value)


# Together.


@pytest.mark.parametrize("name", KEYS)
def test_keys_for_tokens_that_are_empty_are_a_mistake_and_no_open_door(name: str) -> None:
    with pytest.raises(ConfigError, match=f"ROOMS_{name.upper()} leaves {name} empty"):
        load(environment={f"ROOMS_{name.upper()}": ""})
    with pytest.raises(ConfigError, match=f"--.* leaves {name} empty"):
        load({name: ""}, {f"ROOMS_{name.upper()}": "other"})


def test_one_place_of_keys_can_be_taken_back_where_another_is_named(file: Path) -> None:
    file.write_text("jwt_secret_file = 'secret'")
    settings = load({"jwt_secret_file": "", "jwt_key_file": "public.pem"}, None, file).settings
    assert (settings.jwt_secret_file, settings.jwt_key_file) == ("", "public.pem")


def test_a_certificate_makes_it_tls() -> None:
    assert not Settings().tls
    assert Settings(certfile="cert.pem").tls


def test_the_times_and_limits_fit_each_other() -> None:
    settings = Settings()
    assert settings.pong_seconds <= settings.ping_seconds
    assert settings.message_bytes <= settings.outbox_bytes
    assert settings.close_seconds <= settings.grace_seconds
