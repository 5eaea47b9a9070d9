"""The ``rooms`` command: one file a subcommand, imported when it is called."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "admin-token": "Make a token for the admin API.",
    "bench": "Measure a running server.",
    "config": "Show which settings hold, and why.",
    "gateway": "Pass WebSocket connections on to another server.",
    "new": "Make a project to begin with.",
    "serve": "Serve an application, or the built-in chat.",
    "token": "Make and check tokens of users.",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"rooms.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        click.echo(f"rooms {version('rooms')}")
        ctx.exit()


@click.command(cls=LazyGroup)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """A WebSocket room server."""
