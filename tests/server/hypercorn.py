"""Hypercorn's Trio worker, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

SECONDS = 20


@asynccontextmanager
async def hypercorn(application: Any) -> AsyncIterator[int]:
    """Hypercorn's Trio worker with an ASGI application; yields its port."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 1
    stop = trio.Event()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[list[str]]) -> None:
                await hypercorn_serve(
                    application, config, shutdown_trigger=stop.wait, task_status=task_status
                )

            binds = await nursery.start(run)
            try:
                yield int(binds[0].rpartition(":")[2])
            finally:
                stop.set()
