"""The wheel is complete: installed alone, far from the checkout, it serves the chat."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from rooms.cli.new import TEMPLATES

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "scripts/constraints" / f"py{sys.version_info[0]}{sys.version_info[1]}.txt"
STOP_SECONDS = 20

HANDSHAKE = (
    "GET /ws HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "\r\n"
)


class Running(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: httpx.URL


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command to its end; what it printed is shown if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def build_wheel(folder: Path) -> Path:
    """Build the wheel from the checkout."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("rooms-*.whl")
    return wheel


def empty_environment(folder: Path) -> Path:
    """Make a virtual environment without even pip, and return its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    return folder / "venv/bin/python"


def install(python: Path, *packages: str | Path) -> None:
    """Install into an environment with the pip of this one, building without one of pip's own."""
    pinned = ("-c", CONSTRAINTS) if CONSTRAINTS.exists() else ()
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    options = ("--no-compile", "--no-build-isolation", *pinned)
    run(*pip, "install", *options, *packages, cwd=python.parent)


def own_environment() -> dict[str, str]:
    """The environment without what could lead back into the checkout or change settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ROOMS_") and name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }


def wait_for_url(process: subprocess.Popen[str]) -> httpx.URL:
    """Read what a server prints until it says where it is."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if found := re.search(r"https?://\S+:\d+", line):
            return httpx.URL(found[0])
    raise AssertionError(f"the server ended without saying where it is: {printed}")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    python = empty_environment(folder)
    install(python, build_wheel(folder))
    return python


@contextmanager
def serving(python: Path, folder: Path, *arguments: str) -> Iterator[Running]:
    """The installed server, started in a folder."""
    command: list[str | Path] = [python.parent / "rooms", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Running(process, wait_for_url(process))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The installed server, started somewhere else."""
    with serving(python, tmp_path_factory.mktemp("elsewhere")) as running:
        yield running


def test_the_package_is_not_the_one_of_the_checkout(python: Path, tmp_path: Path) -> None:
    code = f"import rooms; assert not rooms.__file__.startswith({str(ROOT)!r}), rooms.__file__"
    run(python, "-c", code, cwd=tmp_path)


def test_the_wheel_brings_one_package(python: Path, tmp_path: Path) -> None:
    code = (
        "from importlib import metadata\n"
        "tops = {file.parts[0] for file in metadata.files('rooms')} - {'..'}\n"
        "own = f\"rooms-{metadata.version('rooms')}.dist-info\"\n"
        "assert tops == {'rooms', own}, tops"
    )
    run(python, "-c", code, cwd=tmp_path)


@pytest.mark.parametrize(
    ("path", "content_type"), [("/", "text/html"), ("/static/rooms.js", "text/javascript")]
)
def test_the_wheel_serves_the_chat(server: Running, path: str, content_type: str) -> None:
    response = httpx.get(server.url.join(path), trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(content_type)
    assert response.content


def test_every_file_for_the_browser_is_served(server: Running) -> None:
    web = ROOT / "web"
    names = [path.relative_to(web).as_posix() for path in web.rglob("*") if path.is_file()]
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        answers = {name: client.get(f"/static/{name}").status_code for name in names}
    assert names
    assert [name for name, status in answers.items() if status != 200] == []


def test_a_websocket_is_accepted(server: Running) -> None:
    host, port = server.url.host, server.url.port or 80
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(HANDSHAKE.format(host=f"{host}:{port}").encode())
        head = connection.makefile("rb").readline().decode()
        assert head.startswith("HTTP/1.1 101 ")


def test_sigterm_ends_the_server_cleanly(server: Running) -> None:
    server.process.terminate()
    assert server.process.wait(STOP_SECONDS) == 0


def test_new_projects_install_pass_their_tests_and_serve_their_page(
    python: Path, tmp_path: Path
) -> None:
    install(python, "hatchling", "pytest", "pytest-trio")
    for template in TEMPLATES:
        run(python.parent / "rooms", "new", template, "--template", template, cwd=tmp_path)
        project = tmp_path / template
        install(python, "--no-deps", "--target", tmp_path / f"{template}-installed", project)
        assert (tmp_path / f"{template}-installed/app.py").exists()
        run(python, "-m", "pytest", "-q", cwd=project)
        with serving(python, project, "app:app") as running:
            page = httpx.get(running.url.join("/"), trust_env=False)
            assert f"<h1>{template}</h1>" in page.text
            for name in ("page.js", "page.css", "static/rooms.js"):
                assert httpx.get(running.url.join(name), trust_env=False).status_code == 200
