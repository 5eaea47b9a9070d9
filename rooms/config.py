"""Every setting, with one name everywhere, and where each value came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from rooms.errors import ConfigError
from rooms.protocol.urls import hide_password, hide_secrets

ENVIRONMENT_PREFIX = "ROOMS_"
FILE_NAME = "rooms.toml"
SECRETS = frozenset({"admin_token", "admin_tokens", "gateway_secret", "jwt_secret"})
"""Each has a twin that names a file instead: ``jwt_secret_file``."""

KEYS = ("jwt_secret", "jwt_secret_file", "jwt_key_file", "jwks_url")
"""Each says where the keys for tokens are; without any of them everybody gets in."""

HIDDEN = "(hidden)"

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
MetricsAccess = Literal["token", "open", "off"]
ClientCertificates = Literal["off", "optional", "required"]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
CountOrOff = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(ge=0, le=1e12)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a server behaves.  Sizes are in bytes, times in seconds.

    ``message_bytes`` is the same as ``ROOMS_MESSAGE_BYTES`` and ``--message-bytes``.
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    reuse_port: bool = False
    workers: Count = 1
    http: bool = True
    certfile: str = ""
    keyfile: str = ""
    hsts_seconds: Annotated[int, Meta(ge=0)] = 31_536_000
    client_ca: str = ""
    client_certificates: ClientCertificates = "off"
    admin_token: str = ""
    admin_token_file: str = ""
    admin_tokens: tuple[str, ...] = ()
    admin_tokens_file: str = ""
    admin_bind: str = ""
    ws_bind: str = ""
    admin_session_seconds: Seconds = 43200
    gateway_secret: str = ""
    gateway_secret_file: str = ""
    jwt_secret: str = ""
    jwt_secret_file: str = ""
    jwt_key_file: str = ""
    jwks_url: str = ""
    jwt_algorithms: tuple[str, ...] = ()
    jwt_audience: tuple[str, ...] = ()
    jwt_issuer: tuple[str, ...] = ()
    jwt_leeway: Annotated[float, Meta(ge=0, le=3600)] = 10
    jwt_required: tuple[str, ...] = ("exp",)
    metrics: MetricsAccess = "token"
    log_level: LogLevel = "info"
    log_format: LogFormat = "console"
    origins: tuple[str, ...] = ()
    origin_required: bool = False
    cors_origins: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    broker: str = "memory://"
    broker_file: str = ""
    broker_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10
    message_bytes: Count = 65536
    rooms_per_client: Count = 128
    filters_per_client: Count = 32
    fragments_per_message: Count = 1024
    connections: CountOrOff = 0
    connections_per_address: CountOrOff = 1000
    connections_per_user: CountOrOff = 100
    handshakes_per_address: Rate = 50
    pending_handshakes: Count = 2048
    lag_seconds: Seconds = 1
    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    proxy_protocol: bool = False
    rate_messages: Rate = 500
    rate_bytes: Rate = 4 * 1024 * 1024
    rate_joins: Rate = 50
    rate_burst_seconds: Annotated[float, Meta(ge=1, le=3600)] = 5
    headers_per_request: Count = 128
    head_bytes: Count = 16384
    head_seconds: Seconds = 10
    auth_seconds: Seconds = 10
    ticket_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30
    revocation_seconds: Seconds = 86_400
    ping_seconds: Annotated[float, Meta(gt=0, le=3600)] = 25
    pong_seconds: Annotated[float, Meta(gt=0, le=3600)] = 10
    presence_seconds: Seconds = 0.25
    presence_grace: Annotated[float, Meta(ge=0, le=3600)] = 5
    history_messages: Annotated[int, Meta(ge=0)] = 100
    history_seconds: Seconds = 300
    recovery_messages: Count = 1000
    recovery_bytes: Count = 512 * 1024
    outbox_bytes: Count = 1024 * 1024
    outbox_writes: Count = 1024
    write_seconds: Seconds = 20
    inbox_messages: Count = 64
    errors_in_a_row: Count = 20
    close_seconds: Seconds = 5
    disconnected_seconds: Seconds = 5
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 5
    grace_seconds: Seconds = 10

    def __repr__(self) -> str:
        shown = (f"{name}={self.shown(name)!r}" for name in self.__struct_fields__)
        return f"Settings({', '.join(shown)})"

    def shown(self, name: str) -> Any:
        """Return the value of a setting as it may be shown: no secret is in it."""
        value = getattr(self, name)
        if name == "broker":
            return hide_password(value)
        if name == "jwks_url":
            return hide_secrets(value)
        return HIDDEN if name in SECRETS and value else value

    @property
    def tls(self) -> bool:
        """Whether the port speaks TLS."""
        return bool(self.certfile)


class Loaded(Struct, frozen=True):
    """Settings, and for each that was set where its value came from."""

    settings: Settings
    sources: dict[str, str]


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """Return the settings; flags outweigh the environment, which outweighs the file.

    Raises:
        ConfigError: A value does not fit, or a name is not one of a setting, or the keys for tokens
            are named and empty; it says which, and where it was found.
    """
    found: dict[str, tuple[Any, str]] = {}
    environment = environment or {}
    if file is not None:
        found |= {name: (value, str(file)) for name, value in _read_file(file).items()}
    for name, variable in _variables(environment).items():
        if name in Settings.__struct_fields__:
            found[name] = (environment[variable], variable)
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = (value, "--" + name.replace("_", "-"))
    values = {name: _convert(name, value, source) for name, (value, source) in found.items()}
    sources = {name: source for name, (_, source) in found.items()}
    _check_keys(values, sources)
    return Loaded(Settings(**values), sources)


def load_here(flags: Mapping[str, Any]) -> Loaded:
    """Return the settings of this process: by flags, its environment and the file that is here.

    Raises:
        ConfigError: As `load` does.
    """
    file = Path(FILE_NAME)
    return load(flags, os.environ, file if file.exists() else None)


def unknown_variables(environment: Mapping[str, str]) -> str:
    """Return a line on what looks like a setting and is none, or nothing; it shows no value.

    It may be another program's, so it is no mistake.
    """
    known = Settings.__struct_fields__
    lines = []
    for name, variable in _variables(environment).items():
        if name not in known:
            near = [_variable(each) for each in _near(name)]
            lines.append(f"{variable} is no setting{''.join(f', {each} is' for each in near)}")
    return "; ".join(lines)


def _near(name: str) -> list[str]:
    """Return the setting that may have been meant, if any."""
    return get_close_matches(name, Settings.__struct_fields__, 1)


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return each variable that has our prefix, by the name of the setting that it would be."""
    ours = (variable for variable in environment if variable.startswith(ENVIRONMENT_PREFIX))
    return {variable.removeprefix(ENVIRONMENT_PREFIX).lower(): variable for variable in ours}


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    unknown = sorted(set(values) - set(Settings.__struct_fields__))
    if unknown:
        near = "".join(f", as {name} is" for name in _near(unknown[0]))
        raise ConfigError(f"{file} sets {unknown[0]!r}, which is not a setting{near}.")
    return values


def _check_keys(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Take an empty value for a mistake, such as a variable of somebody's own that is not set."""
    named = [name for name in KEYS if name in sources]
    if named and not any(values[name] for name in named):
        raise ConfigError(
            f"{sources[named[0]]} leaves {named[0]} empty, so everybody would get in: say where "
            f"the keys for tokens are, or leave it out."
        )


def _convert(name: str, value: Any, source: str) -> Any:
    types = _TYPES[name]
    if isinstance(value, str) and types == tuple[str, ...]:
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, types, strict=False)
    except msgspec.ValidationError as error:
        shown = "" if name in SECRETS else f" {value!r}"
        raise ConfigError(
            f"{source}{shown} does not fit {name}: {_wanted(types, error)}."
        ) from None


def _wanted(types: Any, error: msgspec.ValidationError) -> str:
    """Return what a setting of these types takes, as far as that can be listed."""
    choices = ("true", "false") if types is bool else get_args(types)
    if types is bool or get_origin(types) is Literal:
        return f"choose {', '.join(choices[:-1])} or {choices[-1]}"
    return str(error)


_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
