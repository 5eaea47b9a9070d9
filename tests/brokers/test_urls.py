"""`rooms.brokers.urls`: which broker a setting names."""

from __future__ import annotations

from pathlib import Path

import pytest

from rooms.brokers.memory import MemoryBroker
from rooms.brokers.sqlite import SqliteBroker
from rooms.brokers.urls import make_broker
from rooms.errors import ConfigError


def test_memory_is_one() -> None:
    assert isinstance(make_broker("memory://"), MemoryBroker)


async def test_a_path_goes_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with make_broker("sqlite:///rooms%20of%20mine.db").open(lambda publication: None):
        assert tmp_path.joinpath("rooms of mine.db").exists()


@pytest.mark.parametrize("options", ["", "?synchronous=normal", "?synchronous=full"])
async def test_a_fourth_slash_means_the_root(tmp_path: Path, options: str) -> None:
    broker = make_broker(f"sqlite:///{tmp_path / 'rooms.db'}{options}")
    assert isinstance(broker, SqliteBroker)
    async with broker.open(lambda publication: None):
        assert tmp_path.joinpath("rooms.db").exists()


@pytest.mark.parametrize("url", ["", "memory", "memory:", "memory://x", "sqlite", "sqlite:/x"])
def test_what_names_no_broker_is_refused_with_the_choices(url: str) -> None:
    with pytest.raises(ConfigError, match="choose memory://, sqlite:///FILE or redis:"):
        make_broker(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://rooms.db"])
def test_a_url_without_a_file_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match=r"names no file: write sqlite:///rooms\.db"):
        make_broker(url)


@pytest.mark.parametrize("options", ["synchronous=off", "synchronous", "mode=ro", "full"])
def test_an_unknown_option_is_refused_with_those_there_are(options: str) -> None:
    with pytest.raises(ConfigError, match="synchronous=normal or synchronous=full"):
        make_broker(f"sqlite:///rooms.db?{options}")
