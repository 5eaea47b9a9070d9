"""Shows how a measurement goes, while it goes."""

from __future__ import annotations

from typing import TextIO

from rooms.bench.coordinator import Status

WIDTH = 78


class ProgressLine:
    """One line that is written again and again on a terminal; elsewhere, a line for each phase."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = stream.isatty()
        self._phase = ("", "")

    def __call__(self, status: Status) -> None:
        """Show a status."""
        phase = (status.scenario, status.phase)
        if self._rewrites:
            self._write("\r" + status_text(status).ljust(WIDTH)[:WIDTH])
        elif phase != self._phase:
            self._write(status_text(status) + "\n")
        self._phase = phase

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._rewrites:
            self._write("\r" + " " * WIDTH + "\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def status_text(status: Status) -> str:
    """Return a status in words."""
    parts = [
        f"{status.scenario:8} {status.phase:8} {status.seconds:5.1f} s",
        f"{status.ready:,} of {status.connections:,} clients",
    ]
    if status.dead:
        parts.append(f"{status.dead:,} lost")
    if status.per_second:
        parts.append(f"{status.per_second:,.0f} {status.counted}/s")
    return "  ".join(parts)
