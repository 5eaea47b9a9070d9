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

NAME = re.compile(r"[a-z]([a-z0-9_-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)

NEEDED = frozenset({"rooms", "pytest", "pytest-trio"})
"""What a project needs cannot be its own name: it would need itself."""


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
    name = folder.resolve().name
    if not NAME.fullmatch(name):
        form = "use letters, digits, - and _, a letter first, no - or _ last"
        raise ValueError(f"{name!r} is no name for a project: {form}.")
    if re.sub("[-_]+", "-", name).lower() in NEEDED:
        raise ValueError(f"{name!r} is what a project needs: choose another name.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} is there already: choose another name.")
    source = Path(str(files("rooms"))) / "templates" / template
    found = sorted(path for path in source.rglob("*") if path.is_file())
    return [
        _copy(path, folder, path.relative_to(source), name)
        for path in found
        if "__pycache__" not in path.parts
    ]


def _copy(source: Path, folder: Path, path: Path, name: str) -> Path:
    path = path.with_name(RENAMED.get(path.name, path.name))
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
    target.write_text(text, encoding="utf-8")
    return path
