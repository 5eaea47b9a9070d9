"""Who may import whom, and what must stay pure: the rules that keep the layers apart."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from rooms.protocol.dialects import DIALECTS
from scripts.measure import python_files

ROOT = Path(__file__).parent.parent / "rooms"

TEMPLATES = ROOT / "templates"  # what `rooms new` copies: somebody else's code to be

PURE = {"protocol", "core"}

# What each layer may import, apart from itself.
BELOW_SERVER = {"errors", "config", "protocol", "core", "brokers", "transports"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors", "protocol"},
    "logs": {"errors", "config"},
    "protocol": {"errors"},
    "core": {"errors", "protocol"},
    "brokers": {"errors", "protocol", "core"},
    "transports": {"errors", "protocol", "core"},
    "server": BELOW_SERVER,
    "http": BELOW_SERVER | {"server"},
    "client": {"errors", "protocol", "transports"},
    "bench": {"protocol"},
}

# These put the layers together, so they may import all of them.
FREE = {"__init__", "__main__", "chat", "cli", "serving", "testing"}

# Libraries that one place alone may know about.
CONFINED = {
    "trio_websocket": "transports/websocket.py",
    "quart": "http/",
    "quart_trio": "http/",
    "hypercorn": "http/",
    "prometheus_client": "http/",
    "itsdangerous": "server/cookies.py",
    "jwt": "server/tokens/",
    "cryptography": "server/tokens/",
    "coredis": "brokers/",
}

# A pure module gets time, randomness and ids as arguments, and never waits.
IMPURE_MODULES = {
    "anyio", "asyncio", "datetime", "os", "random", "secrets", "select", "socket",
    "subprocess", "threading", "time", "trio", "trio_websocket", "uuid",
}  # fmt: skip
WAITING = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

# The folders whose `__init__.py` is a registry; the others are empty.
REGISTRIES = {"brokers", "cli", "protocol/dialects", "testing"}


def layer_of(path: Path) -> str:
    """The layer that a file of the package belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def layer_named(module: str) -> str:
    """The layer that a module's full name tells; nothing for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """The full names of all modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "rooms":
            yield from (f"rooms.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def wrong_imports(layer: str, modules: Iterable[str]) -> list[str]:
    """The modules of ours that a layer imports although it may not."""
    if layer in FREE:
        return []
    allowed = ALLOWED[layer] | {layer}
    ours = (name for name in modules if name.partition(".")[0] in {"rooms", ""})
    return [name for name in ours if layer_named(name) not in allowed]


def waits(tree: ast.AST) -> list[int]:
    """The lines of a file on which something is asynchronous."""
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, WAITING)]
    comprehensions = (node for node in ast.walk(tree) if isinstance(node, ast.comprehension))
    return lines + [node.target.lineno for node in comprehensions if node.is_async]


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules_of(path: Path) -> tuple[str, ...]:
    """The full names of all modules that a file imports."""
    return tuple(imported_modules(parse(path)))


def every_file() -> list[Path]:
    """All files of the package."""
    return [path for path in python_files(ROOT) if TEMPLATES not in path.parents]


def pure_files() -> list[Path]:
    """The files of the package that may not wait."""
    return [path for path in every_file() if layer_of(path) in PURE]


def name_of(path: Path) -> str:
    """How a file is called in the list of tests."""
    return path.relative_to(ROOT).as_posix()


def test_every_module_has_a_place_in_the_layers() -> None:
    assert {layer_of(path) for path in every_file()} <= ALLOWED.keys() | FREE


@pytest.mark.parametrize("path", every_file(), ids=name_of)
def test_a_layer_imports_only_what_is_below_it(path: Path) -> None:
    assert wrong_imports(layer_of(path), modules_of(path)) == []


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_a_pure_module_never_waits(path: Path) -> None:
    assert waits(parse(path)) == []


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_a_pure_module_knows_no_clock_and_no_chance(path: Path) -> None:
    assert [name for name in modules_of(path) if name.partition(".")[0] in IMPURE_MODULES] == []


@pytest.mark.parametrize(("library", "place"), CONFINED.items())
def test_a_library_is_known_in_one_place_only(library: str, place: str) -> None:
    users = [
        name_of(path)
        for path in every_file()
        for module in modules_of(path)
        if module.partition(".")[0] == library
    ]
    assert [user for user in users if not user.startswith(place)] == []


def test_no_layer_below_the_pages_knows_a_dialect_by_name() -> None:
    names = [*DIALECTS.keys() - {"native"}, "msgpack", "nativejson", "rooms.v1"]
    places = [path for path in every_file() if layer_of(path) in {"server", "core", "brokers"}]
    found = [
        (name_of(path), name)
        for path in places
        for name in names
        if name in path.read_text(encoding="utf-8").lower()
    ]
    assert found == []
    assert len(places) > 40


def test_the_init_files_of_folders_are_empty_except_for_registries() -> None:
    inits = [path for path in ROOT.rglob("__init__.py") if path.parent != ROOT]
    filled = {path.parent.relative_to(ROOT).as_posix() for path in inits if path.stat().st_size}
    assert filled <= REGISTRIES


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("core", "from rooms.server.app import App"),
        ("core", "import rooms.brokers.memory"),
        ("server", "from rooms import App"),
        ("server", "from rooms import cli"),
        ("errors", "from rooms.protocol.names import check_room"),
        ("server", "from .outbox import Outbox"),
        ("server", "from . import outbox"),
        ("client", "def connect():\n    import rooms.core.hub"),
    ],
)
def test_the_check_finds_an_import_that_is_not_allowed(layer: str, source: str) -> None:
    assert len(wrong_imports(layer, imported_modules(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "async def wait(): ...",
        "def outer():\n    async def inner(): ...",
        "async with stream: ...",
        "[item async for item in stream]",
    ],
)
def test_the_check_finds_what_waits(source: str) -> None:
    assert waits(ast.parse(source)) != []
