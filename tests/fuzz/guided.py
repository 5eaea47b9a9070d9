"""Fuzzing that is led by which lines an input reaches; see ``scripts/fuzz``.

`python -m tests.fuzz.guided TARGET SECONDS FOLDER` keeps what it finds in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Only what is imported in this block is watched; mypy does not know what the script installs.
import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["rooms.protocol", "rooms.core", "rooms.http.admin"]):
    from tests.fuzz.targets import CORPUS, TARGETS

LONGEST = 4096
"""The most bytes of an input."""


def main(target: str, seconds: str, folder: str) -> None:
    """Fuzz one target for so many seconds; an input that does harm is written into the folder.

    New inputs that reach new lines are kept there, too: the good ones belong into the corpus.
    """
    found = Path(folder) / target
    found.mkdir(parents=True, exist_ok=True)
    options = [
        sys.argv[0],
        str(found),
        str(CORPUS / target),
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/{target}-",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
        "-timeout=10",
    ]
    run: Any = TARGETS[target]
    atheris.Setup(options, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:4])
