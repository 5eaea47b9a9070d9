"""``rooms config``: which settings hold, and why."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from rooms.cli.serve import setting_options
from rooms.config import Loaded, load_here, unknown_variables
from rooms.errors import ConfigError

DEFAULT = "default"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--changed", is_flag=True, help="Leave out what is as it comes.")
@setting_options
def config(as_json: bool, changed: bool, **flags: Any) -> None:
    """Show what `rooms serve` with the same options would run with, and where it comes from.

    An option outweighs the environment (ROOMS_…), which outweighs rooms.toml.
    """
    try:
        loaded = load_here(flags)
    except ConfigError as error:
        click.echo(f"rooms: {error}", err=True)
        raise SystemExit(2) from None
    if unknown := unknown_variables(os.environ):
        click.echo(f"rooms: {unknown}.", err=True)
    rows = _rows(loaded)
    if changed:
        rows = [row for row in rows if row[2] != DEFAULT]
    click.echo(_json(rows) if as_json else _table(rows), nl=bool(rows))


def _rows(loaded: Loaded) -> list[tuple[str, Any, str]]:
    """Return each setting's name, value and source; no secret is among the values."""
    settings = loaded.settings
    return [
        (name, settings.shown(name), loaded.sources.get(name, DEFAULT))
        for name in settings.__struct_fields__
    ]


def _json(rows: list[tuple[str, Any, str]]) -> str:
    content = {name: {"value": value, "source": source} for name, value, source in rows}
    return msgspec.json.format(msgspec.json.encode(content)).decode()


def _table(rows: list[tuple[str, Any, str]]) -> str:
    texts = [(name, msgspec.json.encode(value).decode(), source) for name, value, source in rows]
    wide = [max((len(row[column]) for row in texts), default=0) for column in (0, 1)]
    return "\n".join(f"{name:{wide[0]}}  {value:{wide[1]}}  {why}" for name, value, why in texts)
