"""``rooms new``: a project to begin with; that it installs and serves is the wheel's test."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from rooms.cli import main
from rooms.cli.new import PLACEHOLDER, TEMPLATES


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_has_an_application_a_page_tests_settings_and_words(
    folder: Path, template: str
) -> None:
    result = CliRunner().invoke(main, ["new", "my-chat", "--template", template])
    assert result.exit_code == 0, result.output
    made = {path.relative_to(folder / "my-chat").as_posix() for path in folder.rglob("*.*")}
    wanted = {"app.py", "test_app.py", "rooms.toml", "README.md", "pyproject.toml", ".gitignore"}
    assert made == wanted | {"public/index.html", "public/page.js", "public/page.css"}
    texts = [path.read_text() for path in folder.rglob("*.*")]
    assert not any(PLACEHOLDER in text for text in texts)
    assert 'name = "my-chat"' in (folder / "my-chat/pyproject.toml").read_text()
    assert "cd my-chat" in result.output


def test_the_current_folder_may_become_a_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    assert CliRunner().invoke(main, ["new", "."]).exit_code == 0
    assert 'name = "here"' in (folder / "here/pyproject.toml").read_text()
    result = CliRunner().invoke(main, ["new", ".."])
    assert result.exit_code == 2
    assert "'..' is there already" in result.output


@pytest.mark.parametrize("name", ["rooms", "Rooms", "pytest", "pytest_trio"])
def test_a_project_has_no_name_of_what_it_needs(folder: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["new", name])
    assert result.exit_code == 2
    assert "is what a project needs" in result.output
    assert list(folder.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine/app.py").write_text("precious")
    result = CliRunner().invoke(main, ["new", "mine"])
    assert result.exit_code == 2
    assert "'mine' is there already" in result.output
    assert [path.name for path in (folder / "mine").iterdir()] == ["app.py"]


@pytest.mark.parametrize("name", ["1st", "a b", "é", "a_", "b-"])
def test_a_name_that_no_project_can_have_is_refused(folder: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["new", name])
    assert result.exit_code == 2
    assert "no name for a project" in result.output
    assert list(folder.iterdir()) == []
