"""What a token's list of rooms allows."""

import pytest

from rooms.core.grants import parse_grants
from rooms.protocol.topics import parse_filter


def test_only_what_is_named_is_allowed() -> None:
    grants = parse_grants({"team/1": ["join", "publish"], "news/#": ["subscribe"]})
    assert grants.allow("join", "team/1")
    assert not grants.allow("history", "team/1")
    assert not grants.allow("join", "team/2")
    assert not grants.allow("join", "news/today")
    assert grants.allow("subscribe", "news/today")


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        ("team/+", "team/1", True),
        ("team/+", "team/+", True),
        ("team/+", "team/#", False),
        ("team/+", "team", False),
        ("team/#", "team", True),
        ("team/#", "team/+/x", True),
        ("team/#", "#", False),
        ("team/1", "team/+", False),
        ("#", "+/x", True),
        ("#", "$own/x", False),
        ("+", "#", False),
        ("+/x", "$own/x", False),
    ],
)
def test_a_filter_needs_a_grant_that_covers_all_of_it(
    granted: str, asked: str, covered: bool
) -> None:
    assert parse_grants({granted: ["subscribe"]}).cover("subscribe", parse_filter(asked)) is covered


@pytest.mark.parametrize(
    "claim", [[], "team/1", {"a/#/b": ["join"]}, {"a": "join"}, {"a": [1]}, {"a": ["own"]}]
)
def test_a_claim_that_is_none_is_refused(claim: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_grants(claim)
