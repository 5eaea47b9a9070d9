"""``rooms admin-token``: makes a token for the admin API."""

from __future__ import annotations

import click

from rooms.core.admin_tokens import new_token
from rooms.server.admin_settings import make_token


@click.command("admin-token")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["read", "full"]),
    default="read",
    show_default=True,
    help="What it allows: to look, or to act as well.",
)
def admin_token(name: str, role: str) -> None:
    """Make a token for the admin API; whoever acts with it is called NAME in the log.

    The token is shown once and kept nowhere: the line for the settings holds its SHA-256.
    """
    secret = make_token()
    try:
        token = new_token(name, role, secret)
    except ValueError as error:
        click.echo(f"rooms: {error}.", err=True)
        raise SystemExit(2) from None
    click.echo(f"Token, shown this once: {secret}")
    click.echo("A line for the file of --admin-tokens-file, or an entry of admin_tokens:")
    click.echo(token.line)
