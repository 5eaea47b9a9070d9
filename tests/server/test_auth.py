"""What a client brings to say who it is, and who checks it."""

from typing import Any

import pytest

from rooms import Anonymous, App, Credentials, Identity, Refused, User

ANA = User("u1", "Ana")


async def ask(app: App, **brought: Any) -> Identity | None:
    return await app.auth[-1].authenticate(Credentials("/ws", **brought))


async def test_a_function_of_the_application_names_a_user() -> None:
    app = App()

    @app.authenticate
    async def who(credentials: Credentials) -> User:
        return User(str(credentials.token), "Ana")

    assert await ask(app, token="u1") == Identity(user=ANA)


async def test_such_a_function_may_be_plain_and_return_an_identity() -> None:
    app = App()
    identity = Identity(user=ANA, token_id="t1")

    @app.authenticate
    def who(credentials: Credentials) -> Identity:
        return identity

    assert await ask(app) is identity


@pytest.mark.parametrize(
    "brought",
    [{"token": "x"}, {"headers": {"authorization": "Basic x"}}, {"headers": {"cookie": "a=b"}}],
)
async def test_credentials_that_it_does_not_know_are_refused(brought: dict[str, Any]) -> None:
    app = App()
    app.authenticate(lambda credentials: None)
    with pytest.raises(Refused) as caught:
        await ask(app, **brought)
    assert caught.value.status == 401


async def test_whoever_brings_nothing_may_still_sign_in_later() -> None:
    app = App()
    app.authenticate(lambda credentials: None)
    assert await ask(app) is None


def test_credentials_do_not_show_what_they_hold() -> None:
    secrets = {"authorization": "Bearer hidden", "cookie": "session=hidden"}
    credentials = Credentials("/ws", "key=hidden", secrets, "peer", {"session": "hidden"}, "hidden")
    assert "hidden" not in repr(credentials)


def test_one_authenticator_is_as_good_as_a_list() -> None:
    anonymous = Anonymous()
    assert App(auth=anonymous).auth == App(auth=[anonymous]).auth == [anonymous]


def test_what_is_no_authenticator_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"use @app\.authenticate"):
        App(auth=[lambda credentials: None])  # type: ignore[list-item]


def test_an_included_app_brings_its_authenticators() -> None:
    app, other = App(), App(auth=Anonymous())
    app.include(other)
    assert app.auth == other.auth
