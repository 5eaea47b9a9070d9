"""Commands of one client that wait for the connection's own task."""

from __future__ import annotations

import trio

from rooms.protocol.dialects.base import Decoded


class Inbox:
    """A bounded queue that takes no memory until something has to wait in it.

    Most clients never send anything that must be waited for, so the memory channel is opened by
    the first command that does.

    Args:
        limit: The most commands that may wait.
    """

    __slots__ = ("_begun", "_limit", "_receive", "_send", "closed", "waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._send: trio.MemorySendChannel[Decoded] | None = None
        self._receive: trio.MemoryReceiveChannel[Decoded] | None = None
        self._begun: trio.lowlevel.Task | None = None
        self.closed = False
        self.waiting = 0

    @property
    def full(self) -> bool:
        """Whether no more may be put in."""
        return self.waiting >= self._limit

    def put(self, command: Decoded) -> None:
        """Have ``command`` wait; the one who puts sees to it that there is room."""
        if self._send is None:
            self._send, self._receive = trio.open_memory_channel[Decoded](self._limit)
            self._wake()
        self._send.send_nowait(command)
        self.waiting += 1

    def close(self) -> None:
        """Let `get` end when nothing waits any more."""
        self.closed = True
        if self._send is not None:
            self._send.close()
        self._wake()

    async def get(self) -> Decoded:
        """Wait for the next command.

        Raises:
            trio.EndOfChannel: The inbox is closed and empty.
        """
        while self._receive is None:
            if self.closed:
                raise trio.EndOfChannel
            self._begun = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        command = await self._receive.receive()
        self.waiting -= 1
        return command

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._begun = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._begun is not None:
            trio.lowlevel.reschedule(self._begun)
            self._begun = None
