"""Which servers there are to compare with, and how each gets an environment of its own."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from rooms.bench.local import rooms_command
from rooms.bench.plan import ProtocolName

HERE = Path(__file__).parent
STAMP = ".installed"


class Peer(Struct, frozen=True):
    """A server, as `peers.toml` describes it; one without a command is Rooms."""

    name: str
    protocol: ProtocolName
    command: list[str] = []
    environment: str = ""
    pip: list[str] = []
    npm: list[str] = []
    app: str | None = None
    scenarios: list[str] | None = None

    def takes_part(self, scenario: str) -> bool:
        """Whether this peer is measured in a scenario."""
        return self.scenarios is None or scenario in self.scenarios

    def echoes_on_request(self) -> bool:
        """Whether its echo is asked of the server; else it is a room of one."""
        return bool(self.command) or self.app is not None

    def command_line(self, port: int, cache: Path, engine: str = "") -> list[str]:
        """Return what starts the server; ``engine`` is the URL of what connects its nodes."""
        if not self.command:
            options = ("--broker", engine) if engine else ()
            return rooms_command(port, self.app, options)
        programs = _programs(self, cache)
        places = {"port": port, "here": HERE, "bin": programs, "engine": engine}
        return [part.format(**places) for part in self.command]


class Catalogue(Struct):
    """What is in `peers.toml`."""

    peer: list[Peer]


def load_peers(file: str = "peers.toml") -> list[Peer]:
    """Return all peers that a file of this folder describes."""
    text = (HERE / file).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Catalogue).peer


def install(peer: Peer, cache: Path) -> str | None:
    """Install what a peer needs, unless that is done; return why it cannot be, if so."""
    wanted = "\n".join(peer.pip + peer.npm)
    if not wanted:
        return None
    folder = (cache / peer.environment).resolve()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    print(f"installing {', '.join(peer.pip + peer.npm)}", file=sys.stderr)
    failure = _install_pip(peer.pip, folder) or _install_npm(peer.npm, folder)
    if failure is None:
        stamp.write_text(wanted, encoding="utf-8")
    return failure


def _install_pip(packages: list[str], folder: Path) -> str | None:
    if not packages:
        return None
    return _run([sys.executable, "-m", "venv", str(folder)], folder) or _run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", *packages], folder
    )


def _install_npm(packages: list[str], folder: Path) -> str | None:
    if not packages:
        return None
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    return _run([npm, "install", "--silent", "--prefix", str(folder), *packages], folder)


def _run(command: list[str], folder: Path) -> str | None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[-1] if said else f"{command[0]} failed"


def _programs(peer: Peer, cache: Path) -> Path:
    folder = cache / peer.environment
    return (folder / ("node_modules/.bin" if peer.npm else "bin")).resolve()
