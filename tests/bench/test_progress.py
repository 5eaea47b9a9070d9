"""What is shown while a measurement runs."""

import io

from rooms.bench.coordinator import Status
from rooms.bench.progress import ProgressLine, status_text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def status(phase: str, dead: int = 0, pace: float = 0.0) -> Status:
    """Something to show."""
    return Status("fan-out", phase, 1.25, 990, dead, 1000, "deliveries", pace)


def test_a_terminal_gets_one_line_again_and_again() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line(status("connect"))
    line(status("connect"))
    line.close()
    written = terminal.getvalue()
    assert "\n" not in written
    assert written.count("connect") == 2
    assert written.endswith(" \r")


def test_a_file_gets_a_line_for_each_phase() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for phase in ("connect", "connect", "measure", "measure"):
        line(status(phase))
    line.close()
    assert [text.split()[1] for text in stream.getvalue().splitlines()] == ["connect", "measure"]


def test_a_status_tells_losses_and_pace_once_there_are_any() -> None:
    assert status_text(status("measure")) == "fan-out  measure    1.2 s  990 of 1,000 clients"
    assert status_text(status("measure", 10, 12345.6)).endswith("  10 lost  12,346 deliveries/s")
