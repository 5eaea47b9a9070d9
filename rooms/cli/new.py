"""``rooms new``: a project to begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

TEMPLATES = ("minimal", "chat")
PLACEHOLDER = "__NAME__"
RENAMED = {"gitignore": ".gitignore"}
"""Files that would have had a meaning where the templates are kept."""

NAME = re.compile(r"[a-z][a-z0-9_-]*", re.IGNORECASE | re.ASCII)


@click.command()
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    default=TEMPLATES[0],
    show_default=True,
    help="What to begin with: one event and its page, or a small chat.",
)
def new(name: str, template: str) -> None:
    """Make a project in the new folder NAME: application, page, tests, settings, README."""
    folder = Path(name)
    try:
        written = make_project(folder, template)
    except (ValueError, OSError) as error:
        click.echo(f"rooms: {error}", err=True)
        raise SystemExit(2) from None
    for path in written:
        click.echo(f"  {folder / path}")
    click.echo(f"\nNow:\n  cd {folder}\n  rooms serve app:app --reload")


def make_project(folder: Path, template: str) -> list[Path]:
    """Copy a template into a folder and return what was written, as paths in that folder.

    Raises:
        ValueError: The folder's name is not one for a project, or there is something in it.
        OSError: It cannot be written.
    """
    if not NAME.fullmatch(folder.name):
        raise ValueError(f"{folder.name!r} is no name for a project: use letters, digits, - and _.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is there already: choose another name.")
    source = Path(str(files("rooms"))) / "templates" / template
    found = sorted(path for path in source.rglob("*") if path.is_file())
    return [
        _copy(path, folder, path.relative_to(source))
        for path in found
        if "__pycache__" not in path.parts
    ]


def _copy(source: Path, folder: Path, name: Path) -> Path:
    name = name.with_name(RENAMED.get(name.name, name.name))
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, folder.name)
    target.write_text(text, encoding="utf-8")
    return name
