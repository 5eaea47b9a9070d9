"""Budgets for size, and house rules that a machine can check."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.measure import file_sizes, function_sizes, median, ninth_decile, python_files

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rooms"
TESTS = ROOT / "tests"
TEMPLATES = PACKAGE / "templates"  # what `rooms new` copies

VIRTUAL_CLOCKS = {"autojump_clock", "mock_clock"}
REAL_SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep"}
TRIO_SLEEPS = {"trio.sleep", "trio.sleep_until"}

# Where any exception may be caught, and why. Everywhere else the narrowest error is named.
CATCH_ALL = {
    "server/dispatch.py": "an application's handler may raise anything, and has error handlers",
    "server/gate.py": "an application's authenticator may raise anything, which lets nobody in",
    "server/listen.py": "what one connection raises reaches no other",
    "server/raw.py": "the ladder of an application's own endpoints",
    "server/tasks.py": "what a task of a handler raises ends with it",
    "server/revalidation.py": "an application's function may raise anything, which ends nobody",
    "server/session.py": "the ladder: every error becomes an answer or the end of one session",
    "server/guard.py": "a rule may raise anything, and then nobody may stay because of it",
    "http/connection.py": "what one connection raises reaches no other",
    "http/server.py": "what one request raises reaches no other",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Call(NamedTuple):
    """A call, and the functions that it stands in, the outermost first."""

    node: ast.Call
    inside: tuple[Function, ...]


def calls(node: ast.AST, inside: tuple[Function, ...] = ()) -> Iterator[Call]:
    """All calls below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield Call(child, inside)
        deeper = (*inside, child) if isinstance(child, Function) else inside
        yield from calls(child, deeper)


def has_virtual_clock(functions: tuple[Function, ...]) -> bool:
    """Whether one of the functions asks for a clock that tests can turn."""
    arguments = (argument.arg for function in functions for argument in function.args.args)
    return any(argument in VIRTUAL_CLOCKS for argument in arguments)


def is_zero(call: ast.Call) -> bool:
    """Whether a call's only argument is 0: a checkpoint, not a sleep."""
    return ast.unparse(call).endswith("(0)")


def sleeps_for_real(call: Call) -> bool:
    """Whether a call waits for time to pass."""
    name = ast.unparse(call.node.func)
    if name in TRIO_SLEEPS:
        return not is_zero(call.node) and not has_virtual_clock(call.inside)
    return name in REAL_SLEEPS or name.endswith(".wait_for_timeout")


def imported_sleeps(tree: ast.AST) -> Iterator[int]:
    """The lines that import a sleep by its bare name, out of sight of the other check."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"time", "trio", "asyncio", "anyio"}:
            yield from (node.lineno for alias in node.names if alias.name.startswith("sleep"))


def real_sleeps(source: str) -> list[int]:
    """The lines of a test file that wait for time to pass, or that could do so unseen."""
    tree = ast.parse(source)
    found = [call.node.lineno for call in calls(tree) if sleeps_for_real(call)]
    return found + list(imported_sleeps(tree))


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether a handler would catch any error."""
    names = {ast.unparse(node) for node in ast.walk(handler.type)} if handler.type else set()
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def catch_alls(source: str) -> list[int]:
    """The lines that catch any error."""
    handlers = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ExceptHandler))
    return [handler.lineno for handler in handlers if catches_everything(handler)]


def undocumented(path: Path) -> Iterator[str]:
    """The public modules, classes and functions of a file that say nothing about themselves."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if tree.body and not ast.get_docstring(tree):
        yield str(path)
    definitions = (node for node in tree.body if isinstance(node, ast.ClassDef | Function))
    for node in definitions:
        if not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{path}:{node.lineno} {node.name}"


def test_functions_are_short() -> None:
    sizes = function_sizes(PACKAGE)
    assert median(sizes) <= 8
    assert ninth_decile(sizes) <= 24
    assert [size for size in sizes if size.lines > 60] == []


def test_files_are_short() -> None:
    assert [size for size in file_sizes(PACKAGE) if size.lines > 350] == []


def test_public_things_say_what_they_are() -> None:
    files = [path for path in python_files(PACKAGE) if TEMPLATES not in path.parents]
    assert [place for path in files for place in undocumented(path)] == []


def test_only_the_named_places_catch_every_error() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in python_files(PACKAGE)
        if catch_alls(path.read_text(encoding="utf-8"))
    }
    assert found == CATCH_ALL.keys()


@pytest.mark.parametrize("path", python_files(TESTS), ids=lambda p: p.relative_to(TESTS).as_posix())
def test_no_test_waits_for_real_time(path: Path) -> None:
    assert real_sleeps(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "from trio import sleep as nap",
        "async def test(nursery):\n    await trio.sleep(0.1)",
        "async def helper():\n    await trio.sleep(delay)",
        "def test(page):\n    page.wait_for_timeout(100)",
    ],
)
def test_the_check_finds_a_real_sleep(source: str) -> None:
    assert len(real_sleeps(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "async def test(autojump_clock):\n    await trio.sleep(3600)",
        "async def test(mock_clock):\n    async def late():\n        await trio.sleep(1)",
        "async def helper():\n    await trio.sleep(0)",
        "async def helper():\n    await trio.sleep_forever()",
    ],
)
def test_the_check_lets_virtual_time_pass(source: str) -> None:
    assert real_sleeps(source) == []


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except (OSError, Exception):"])
def test_the_check_finds_what_catches_every_error(clause: str) -> None:
    assert catch_alls(f"try: ...\n{clause} ...") == [2]
    assert catch_alls("try: ...\nexcept* BaseException: ...") == [2]
    assert catch_alls("try: ...\nexcept OSError: ...") == []
