"""Which changes of files start a server again."""

from pathlib import Path

import trio

from rooms.cli.watch import changes, different, times


def test_what_is_changed_made_or_removed_is_named(tmp_path: Path) -> None:
    for name in ("kept.py", "changed.py", "removed.html"):
        (tmp_path / name).write_text("")
    before = times(tmp_path)
    assert len(before) == 3
    (tmp_path / "made.js").write_text("")
    (tmp_path / "removed.html").unlink()
    now = times(tmp_path) | {tmp_path / "changed.py": 1}
    assert [path.name for path in different(before, now)] == [
        "changed.py",
        "made.js",
        "removed.html",
    ]


def test_what_is_not_the_applications_own_is_not_looked_at(tmp_path: Path) -> None:
    for name in ("app.py", ".git/x.py", "__pycache__/y.py", "node_modules/z.js", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "env/lib").mkdir(parents=True)
    (tmp_path / "env/lib/module.py").write_text("")
    (tmp_path / "env/pyvenv.cfg").write_text("")
    assert [path.name for path in times(tmp_path)] == ["app.py"]


async def test_a_change_is_noticed(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    (tmp_path / "app.py").write_text("1")
    with trio.fail_after(60):
        found = changes(tmp_path)
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                await trio.sleep(3)
                await trio.Path(tmp_path / "new.py").write_text("2")

            nursery.start_soon(write)
            paths = await anext(found)
        await found.aclose()  # type: ignore[attr-defined]
    assert paths == [tmp_path / "new.py"]
