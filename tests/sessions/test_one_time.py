"""One-time tokens for the links that an application sends."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    in_parallel,
    log_in,
    make_app,
)
from tests.harness.kit import make_users as kit_users
from tests.stores.proxy import proxied
from tokenauth import (
    AuthError,
    DictUserStore,
    InvalidCredentialsError,
    MemorySessionStore,
    PasswordRefusedError,
    StoreUnavailableError,
    TokenAuth,
    TokenExpiredError,
    TokenInvalidError,
    TokenRevokedError,
    TooManyAttemptsError,
    User,
    events,
    hash_password,
)
from tokenauth.accounts.users import UserRecord
from tokenauth.events import Event

RESET = "reset-password"


@pytest.fixture
def users() -> DictUserStore:
    return kit_users()


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    return make_app(users=users, clock=clock)


@pytest.fixture
def auth(app: Flask) -> Iterator[TokenAuth]:
    with app.app_context():
        yield TokenAuth()


@pytest.fixture
def alice(users: DictUserStore) -> User:
    user = users.get("u-alice")
    assert user is not None
    return user


def test_a_token_is_good_for_one_use(auth: TokenAuth, alice: User) -> None:
    """The first use tells whose it is; the second is refused."""
    token = auth.issue_once(RESET, alice, 900)
    assert auth.redeem(RESET, token) is alice
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, token)


def test_of_many_uses_at_once_one_wins(
    app: Flask, auth: TokenAuth, alice: User, is_full: bool
) -> None:
    """Threads that redeem one token at the same moment: one gets the user."""
    for _ in range(50 if is_full else 5):
        token = auth.issue_once(RESET, alice, 900)
        barrier = threading.Barrier(8)
        outcomes: list[str] = []

        def redeem(
            token: str = token,
            barrier: threading.Barrier = barrier,
            outcomes: list[str] = outcomes,
        ) -> None:
            with app.app_context():
                barrier.wait()
                try:
                    outcomes.append(auth.redeem(RESET, token).get_id())
                except AuthError as error:
                    outcomes.append(error.error_code)

        threads = [threading.Thread(target=redeem) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["token_revoked"] * 7 + ["u-alice"]


def test_a_stranger_does_not_end_a_users_link(
    app: Flask, auth: TokenAuth, alice: User, clock: Clock
) -> None:
    """Five in 15 minutes: the sixth is refused, however it is asked for."""
    limited: list[Event] = []
    with events.attempts_limited.connected_to(
        lambda _, event: limited.append(event), app
    ):
        first = auth.issue_once(RESET, alice, 3600)
        for _ in range(4):
            clock.move(60)
            auth.issue_once(RESET, alice, 3600)
        with pytest.raises(TooManyAttemptsError) as refused:
            auth.issue_once(RESET, alice, 3600)
    assert refused.value.retry_after == 900 - 4 * 60
    [event] = limited
    assert (event.user_id, event.purpose) == ("u-alice", f"once:{RESET}")
    assert auth.issue_once("verify-email", alice, 900)
    assert auth.redeem(RESET, first) is alice
    assert auth.issue_once(RESET, alice, 900)


def test_a_user_has_five_at_a_time(auth: TokenAuth, alice: User, clock: Clock) -> None:
    """A link that did not arrive can be asked for again; the oldest ends then."""
    tokens = []
    for _ in range(6):
        tokens.append(auth.issue_once(RESET, alice, 3600))
        clock.move(180)
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, tokens[0])
    assert auth.redeem(RESET, tokens[1]) is alice


def test_a_use_that_came_second_is_refused_and_announced(clock: Clock) -> None:
    """Both uses looked at the token before either ended it."""
    users, store = kit_users(), MemorySessionStore()

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "end":
            store.end_all("u-alice")
        return call()

    app = make_app(users=users, sessions=proxied(store, around), clock=clock)
    refused: list[Event] = []
    alice = users.find("alice")
    assert alice is not None
    with (
        app.app_context(),
        events.token_refused.connected_to(lambda _, event: refused.append(event), app),
    ):
        token = TokenAuth().issue_once(RESET, alice, 60)
        with pytest.raises(TokenRevokedError):
            TokenAuth().redeem(RESET, token)
    told = [(event.user_id, event.purpose) for event in refused]
    assert told == [("u-alice", f"once:{RESET}")]


def test_using_one_ends_the_others_of_its_purpose(auth: TokenAuth, alice: User) -> None:
    """A mailbox does not keep links that work."""
    other = auth.issue_once("verify-email", alice, 900)
    first, second = (auth.issue_once(RESET, alice, 900) for _ in range(2))
    assert auth.redeem(RESET, second) is alice
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, first)
    assert auth.redeem("verify-email", other) is alice


def test_a_used_one_ends_no_newer_one(auth: TokenAuth, alice: User) -> None:
    """Whoever finds an old link cannot end the one that was asked for since."""
    used = auth.issue_once(RESET, alice, 900)
    auth.redeem(RESET, used)
    newer = auth.issue_once(RESET, alice, 900)
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, used)
    assert auth.redeem(RESET, newer) is alice


def test_a_refused_new_password_does_not_use_it_up(
    auth: TokenAuth, alice: User, client: FlaskClient
) -> None:
    """The person corrects the form and sends it again."""
    token = auth.issue_once("reset_password", alice, 900)
    old = alice.password_hash
    with pytest.raises(PasswordRefusedError):
        auth.redeem("reset_password", token, new_password="short")
    assert alice.password_hash == old
    headers = bearer(log_in(client)["access_token"])
    new = "quite another one"
    assert auth.redeem("reset_password", token, new_password=new) is alice
    assert client.get("/auth/me", headers=headers).status_code == 401
    body = {"username": "alice", "password": new}
    assert client.post("/auth/login", json=body).status_code == 200
    with pytest.raises(TokenRevokedError):
        auth.redeem("reset_password", token, new_password="yet another one")


def test_of_two_resets_with_one_token_one_wins(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """The other one is told that the token was used, and sets nothing."""
    token = auth.issue_once(RESET, alice, 900)

    def reset() -> str:
        with app.app_context():
            try:
                auth.redeem(RESET, token, new_password="quite another one")
            except TokenRevokedError as error:
                return error.error_code
        return "done"

    assert sorted(in_parallel(4, reset)) == ["done"] + ["token_revoked"] * 3


def test_other_purposes_and_users_are_left_alone(
    auth: TokenAuth, alice: User, users: DictUserStore
) -> None:
    """One user's reset ends neither a verification nor another user's reset."""
    bob = users.get("u-bob")
    assert bob is not None
    verify = auth.issue_once("verify-email", alice, 900)
    his = auth.issue_once(RESET, bob, 900)
    hers = auth.issue_once(RESET, alice, 900)
    assert auth.redeem(RESET, hers) is alice
    assert auth.redeem(RESET, his) is bob
    assert auth.redeem("verify-email", verify) is alice


def test_its_time_ends_it(auth: TokenAuth, alice: User, clock: Clock) -> None:
    """To the second, given as seconds or as a timedelta."""
    for max_age in (60, 60.0, timedelta(minutes=1)):
        token = auth.issue_once(RESET, alice, max_age)
        clock.move(59)
        assert auth.redeem(RESET, token) is alice
        token = auth.issue_once(RESET, alice, max_age)
        clock.move(60)
        with pytest.raises(TokenExpiredError):
            auth.redeem(RESET, token)


@pytest.mark.parametrize(
    ("before", "after"), [("one", "other"), ("one", None), (None, "other")]
)
def test_a_hash_set_by_the_application_ends_it(
    auth: TokenAuth, users: DictUserStore, alice: User, before: Any, after: Any
) -> None:
    """Whoever sets a new password after a reset ends what else was sent."""
    alice.password_hash = before
    token = auth.issue_once("verify-email", alice, 900)
    assert users.set_password_hash("u-alice", after, expected=before)
    with pytest.raises(TokenRevokedError):
        auth.redeem("verify-email", token)


def test_a_reset_is_an_event(app: Flask, auth: TokenAuth, alice: User) -> None:
    """It says whose password it was."""
    seen: list[Event] = []
    with events.password_changed.connected_to(
        lambda _, event: seen.append(event), sender=app
    ):
        auth.set_password(alice, "quite another one")
    assert [event.user_id for event in seen] == ["u-alice"]


def test_a_reset_keeps_to_the_policy(
    auth: TokenAuth, alice: User, client: FlaskClient
) -> None:
    """A password that is refused changes nothing."""
    headers = bearer(log_in(client)["access_token"])
    with pytest.raises(PasswordRefusedError, match="characters"):
        auth.set_password(alice, "short")
    assert client.get("/auth/me", headers=headers).status_code == 200


def test_of_two_resets_one_wins(
    app: Flask, auth: TokenAuth, users: DictUserStore, alice: User
) -> None:
    """Who read the old hash before it was changed changes nothing."""
    stale = User("alice", alice.password_hash, id="u-alice")
    seen: list[Event] = []
    auth.set_password(alice, "the first of them")
    with (
        events.login_failed.connected_to(
            lambda _, event: seen.append(event), sender=app
        ),
        pytest.raises(InvalidCredentialsError),
    ):
        auth.set_password(stale, "the second of them")
    assert [event.reason for event in seen] == ["overtaken"]


def test_it_ends_with_its_user(auth: TokenAuth, alice: User) -> None:
    """Disabled: refused, and not used up. Removed: refused."""
    token = auth.issue_once(RESET, alice, 900)
    alice.is_active = False
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, token)
    alice.is_active = True
    assert auth.redeem(RESET, token) is alice
    stranger = auth.issue_once(RESET, User("gone", id="u-gone"), 900)
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, stranger)


def test_it_works_for_its_purpose_alone(
    auth: TokenAuth, alice: User, client: FlaskClient
) -> None:
    """Each purpose has its own keys, and none of them is that of a login."""
    token = auth.issue_once(RESET, alice, 900)
    pair = log_in(client)
    for purpose, wrong in [
        ("verify-email", token),
        ("reset", token),
        (RESET, pair["access_token"]),
        (RESET, pair["refresh_token"]),
        (RESET, token[:-1]),
        (RESET, f"{token}A"),
        (RESET, ""),
        (RESET, "é.é"),
    ]:
        with pytest.raises(TokenInvalidError):
            auth.redeem(purpose, wrong)
    refused = client.get("/protected", headers=bearer(token))
    assert_problem(refused, 401, "token_invalid")
    body = {"refresh_token": token}
    assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")
    assert auth.redeem(RESET, token) is alice


@pytest.mark.parametrize(
    "purpose",
    [
        "",
        "Reset",
        "reset password",
        "reset/x",
        "once:reset",
        "-reset",
        "_reset",
        "é",
        "a" * 33,
        "a\n",
    ],
)
def test_a_purpose_is_a_plain_word(auth: TokenAuth, alice: User, purpose: str) -> None:
    """It is part of a key's derivation and of what stores keep."""
    with pytest.raises(ValueError, match="cannot be a purpose"):
        auth.issue_once(purpose, alice, 900)
    with pytest.raises(ValueError, match="cannot be a purpose"):
        auth.redeem(purpose, "x")


@pytest.mark.parametrize(
    "max_age", [0, 0.5, -1, math.nan, math.inf, 400 * 86400, timedelta(0)]
)
def test_an_age_is_between_a_second_and_a_year(
    auth: TokenAuth, alice: User, max_age: Any
) -> None:
    """A link that never ends is not one-time in any useful sense."""
    with pytest.raises(ValueError, match="max_age"):
        auth.issue_once(RESET, alice, max_age)


@pytest.mark.parametrize("max_age", [1, 366 * 86400, timedelta(days=366)])
def test_a_second_and_a_year_are_ages(
    auth: TokenAuth, alice: User, max_age: Any
) -> None:
    """The longest is that of a leap year."""
    assert auth.redeem(RESET, auth.issue_once(RESET, alice, max_age)) is alice


def test_it_holds_no_hash_and_nothing_at_rest_makes_one(
    users: DictUserStore, clock: Clock, alice: User
) -> None:
    """Who reads the store cannot reset; who reads the token learns no hash."""
    store = MemorySessionStore()
    with make_app(users=users, sessions=store, clock=clock).app_context():
        token = TokenAuth().issue_once(RESET, alice, 900)
    (session,) = store.of_user("u-alice", kind="once:reset-password")
    assert session.authenticated_at == 0  # no password was proved for it
    row = repr(session)
    assert token.split(".")[1] not in row
    assert alice.password_hash is not None
    assert alice.password_hash not in row
    assert alice.password_hash not in token
    assert len(token) < 300


def test_a_rotated_key_does_not_end_it(users: DictUserStore, alice: User) -> None:
    """The old key as a fallback verifies token and password; without it, nothing."""
    store, clock = MemorySessionStore(), Clock()
    old, new = "old-key-" + "1" * 40 + "x", "new-key-" + "2" * 40 + "y"

    def redeem_with(**config: Any) -> UserRecord:
        app = make_app(users=users, sessions=store, clock=clock, config=config)
        with app.app_context():
            return TokenAuth().redeem(RESET, token)

    app = make_app(users=users, sessions=store, clock=clock, config={"SECRET_KEY": old})
    with app.app_context():
        token = TokenAuth().issue_once(RESET, alice, 900)
    with pytest.raises(TokenInvalidError):
        redeem_with(SECRET_KEY=new)
    assert redeem_with(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]) is alice


@pytest.mark.parametrize("failing", ["get", "end_all", "end"])
def test_a_store_that_is_down_uses_nothing_up(
    users: DictUserStore, alice: User, clock: Clock, failing: str
) -> None:
    """The link still works when the store is back."""

    is_down = True

    def around(name: str, call: Callable[[], Any]) -> Any:
        if is_down and name == failing:
            raise StoreUnavailableError
        return call()

    store = proxied(MemorySessionStore(), around)
    with make_app(users=users, sessions=store, clock=clock).app_context():
        auth = TokenAuth()
        token = auth.issue_once(RESET, alice, 900)
        with pytest.raises(StoreUnavailableError):
            auth.redeem(RESET, token)
        is_down = False
        assert auth.redeem(RESET, token) is alice


def test_uses_and_refusals_are_announced(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """Who, which and for what; never the token."""
    seen: list[tuple[str | None, ...]] = []

    @events.token_redeemed.connect_via(app)
    def redeemed(_: Flask, event: events.Event) -> None:
        seen.append(("redeemed", event.user_id, event.purpose, event.reason))

    @events.token_refused.connect_via(app)
    def refused(_: Flask, event: events.Event) -> None:
        seen.append(("refused", event.user_id, event.purpose, event.reason))

    token = auth.issue_once(RESET, alice, 900)
    auth.redeem(RESET, token)
    with pytest.raises(TokenRevokedError):
        auth.redeem(RESET, token)
    assert seen == [
        ("redeemed", "u-alice", "once:reset-password", None),
        ("refused", "u-alice", "once:reset-password", "token_revoked"),
    ]


def test_a_reset_flow_of_an_application(
    app: Flask, users: DictUserStore, client: FlaskClient
) -> None:
    """Ask, get a link, set a password, once: the example of the documentation."""
    auth = TokenAuth()
    mails: list[str] = []

    @app.post("/forgot")
    def forgot() -> tuple[str, int]:
        user = users.find(request.form["username"])
        if user is not None:
            mails.append(auth.issue_once(RESET, user, max_age=900))
        return "", 202

    @app.post("/reset")
    def reset() -> tuple[str, int]:
        user: Any = auth.redeem(RESET, request.form["token"])
        users.set_password_hash(
            user.get_id(),
            hash_password(request.form["password"]),
            expected=user.password_hash,
        )
        auth.revoke_user(user.get_id())
        return "", 204

    before = bearer(log_in(client)["access_token"])
    for username in ("alice", "nobody"):
        assert client.post("/forgot", data={"username": username}).status_code == 202
    (token,) = mails
    form = {"token": token, "password": "a brand new password"}
    assert client.post("/reset", data=form).status_code == 204
    assert_problem(client.get("/protected", headers=before), 401, "token_revoked")
    body = {"username": "alice", "password": "a brand new password"}
    assert client.post("/auth/login", json=body).status_code == 200
    assert_problem(client.post("/reset", data=form), 401, "token_revoked")


@pytest.mark.parametrize("way", ["login", "redeem", "reset", "set_password"])
def test_an_owner_gets_in_whatever_strangers_guessed(
    app: Flask, client: FlaskClient, alice: User, way: str
) -> None:
    """Wrong guesses use up an account's attempts; what shows the owner gives new ones.

    From the network of that request, and from no other.
    """
    auth, new = TokenAuth(), PASSWORDS["bob"]
    with app.app_context():
        token = auth.issue_once(RESET, alice, 900)

    @app.post("/do")
    def do() -> str:
        if way == "login":
            auth.login(alice)
        elif way == "redeem":
            auth.redeem(RESET, token)
        elif way == "reset":
            auth.redeem(RESET, token, new_password=new)
        else:
            auth.set_password(alice, new)
        return "done"

    def log_in_from(address: str, password: str) -> int:
        body = {"username": "alice", "password": password}
        where = {"REMOTE_ADDR": address}
        return client.post("/auth/login", json=body, environ_base=where).status_code

    right = new if way in {"reset", "set_password"} else PASSWORDS["alice"]
    statuses = {log_in_from(f"198.51.{n}.1", "a guess") for n in range(120)}
    assert statuses == {401, 429}
    assert log_in_from("192.0.2.1", PASSWORDS["alice"]) == 429
    owner = {"REMOTE_ADDR": "192.0.2.1"}
    assert client.post("/do", environ_base=owner).text == "done"
    assert log_in_from("192.0.2.1", right) == 200
