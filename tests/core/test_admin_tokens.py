"""`rooms.core.admin_tokens`: who holds which token."""

from __future__ import annotations

import pytest

from rooms.core.admin_tokens import AdminTokens, new_token, parse_token, plain_token

DEPLOY, PROBE = new_token("deploy", "full", "one"), new_token("probe", "read", "two")


def test_a_token_is_found_by_itself_alone() -> None:
    tokens = AdminTokens([DEPLOY, PROBE])
    assert [tokens.find(secret) for secret in (b"one", b"two")] == [DEPLOY, PROBE]
    for wrong in (b"", b"on", b"one ", b"three", DEPLOY.digest, DEPLOY.digest.hex().encode()):
        assert tokens.find(wrong) is None


def test_all_are_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    tokens = AdminTokens([DEPLOY, PROBE])
    for secret in (b"one", b"two", b"three"):
        tokens.find(secret)
    assert compared == [DEPLOY.digest, PROBE.digest] * 3


def test_a_line_of_the_settings_holds_the_digest_and_not_the_token() -> None:
    assert parse_token(DEPLOY.line) == DEPLOY
    assert parse_token(f" {PROBE.line.upper()} ".replace("PROBE:READ", "probe:read")) == PROBE
    assert "one" not in DEPLOY.line


def test_the_plain_token_may_do_everything() -> None:
    assert plain_token("one")._replace(name="deploy") == DEPLOY


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("s3cret-token", "not of the right form"),
        ("s3cret:token", "not of the right form"),
        ("a b:read:" + "0" * 64, "not of the right form"),
        ("ana:read:s3cret", "'ana' has no SHA-256"),
        ("ana:write:" + "0" * 64, "role is read or full"),
        ("ana::" + "0" * 64, "role is read or full"),
    ],
)
def test_a_mistake_is_told_but_nothing_that_may_be_a_token(entry: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_token(entry)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "a\nb", "ü"])
def test_a_token_has_a_name_for_the_log(name: str) -> None:
    with pytest.raises(ValueError, match="not a token's name"):
        new_token(name, "read", "one")


def test_two_tokens_have_two_names() -> None:
    with pytest.raises(ValueError, match="'deploy'"):
        AdminTokens([DEPLOY, PROBE, PROBE._replace(name="deploy")])
