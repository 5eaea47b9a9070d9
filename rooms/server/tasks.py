"""Tasks that handlers start: each ends with its connection, and none can bring down another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
import trio

from rooms.errors import Disconnect
from rooms.server.exits import without_exit

if TYPE_CHECKING:
    from rooms.server.session import Session

log = structlog.get_logger("rooms")


async def run_task(
    session: Session, function: Callable[..., Awaitable[object]], args: tuple[Any, ...]
) -> None:
    """Run a handler's task; what it raises ends the connection or is logged."""
    with trio.CancelScope() as scope:
        session.tasks[scope] = None
        try:
            with without_exit():
                await function(*args)
        except Disconnect as error:
            session.end(error)
        except (Exception, SystemExit) as error:
            log.error("task failed", client=session.id, exc_info=error)
        finally:
            del session.tasks[scope]
