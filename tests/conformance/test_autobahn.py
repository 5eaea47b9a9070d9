"""What becomes of the Autobahn suite's results; the suite itself is run by hand."""

from __future__ import annotations

import pytest

from tests.conformance.autobahn import BEGIN, END, FAMILIES, TABLE, replace_table, table, worst


@pytest.mark.parametrize(
    ("behavior", "close", "shown"),
    [
        ("OK", "OK", "OK"),
        ("OK", "INFORMATIONAL", "INFORMATIONAL"),
        ("NON-STRICT", "OK", "NON-STRICT"),
        ("OK", "FAILED", "FAILED"),
        ("UNCLEAN", "WRONG CODE", "FAILED"),
        ("OK", "UNCLEAN", "FAILED"),
    ],
)
def test_a_case_is_as_good_as_the_worse_of_its_two_results(
    behavior: str, close: str, shown: str
) -> None:
    assert worst({"behavior": behavior, "behaviorClose": close}) == shown


def test_the_table_counts_by_family_and_names_what_is_not_plainly_right() -> None:
    good, strange = [{"behavior": kind, "behaviorClose": "OK"} for kind in ("OK", "INFORMATIONAL")]
    lines = table({"1.1.1": good, "7.13.1": strange, "7.2.1": good, "7.1.6": strange}).splitlines()
    assert "| 1 framing | 1 | 0 | 0 | 0 |" in lines
    assert "| 7 closing | 1 | 0 | 2 | 0 |" in lines
    assert lines[-1] == "INFORMATIONAL: 7.1.6, 7.13.1."


def test_only_what_is_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert replace_table(page, "new\n") == f"before\n{BEGIN}new\n{END}after\n"


def test_the_docs_show_every_family_and_no_failure() -> None:
    shown = TABLE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in shown.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [f"{key} {name}" for key, name in FAMILIES.items()]
    assert {row[-1] for row in rows[1:]} == {"0"}
