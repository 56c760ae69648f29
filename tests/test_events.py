"""Every security decision is announced once: who, when, from where; never a secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from blinker import NamedSignal
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from tests.harness.kit import PASSWORDS, Clock, bearer, log_in, make_app, make_users
from tokenauth import (
    DictUserStore,
    InvalidCredentialsError,
    MemorySessionStore,
    Session,
    StoreUnavailableError,
    TokenAuth,
    TokenExpiredError,
    User,
    events,
    hash_password,
)
from tokenauth.accounts.passwords import Argon2Cost
from tokenauth.events import Event
from tokenauth.testing import CHEAP_HASHING

SIGNALS = {signal.name: signal for signal in events.SIGNALS}
CHEAP_HASHES = {
    name: hash_password(password, Argon2Cost(8, 1))
    for name, password in PASSWORDS.items()
}
BY_ALICE = {"user_id": "u-alice", "session_id": "the login's"}
UNAVAILABLE = {"store": "sessions", "cause": "ConnectionError"}


class Sessions(MemorySessionStore):
    """A store that can be down."""

    is_down = False

    def get(self, session_id: str) -> Session | None:
        self._check()
        return super().get(session_id)

    def add(self, session: Session, *, limit: int) -> None:
        self._check()
        super().add(session, limit=limit)

    def end(self, session_id: str) -> bool:
        self._check()
        return super().end(session_id)

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError(reason="ConnectionError")


class Users(DictUserStore):
    """A store that cannot be written to."""

    def set_password_hash(self, *_: Any, **__: Any) -> bool:
        raise StoreUnavailableError(reason="ConnectionError")


class Scene(NamedTuple):
    """An application, and all that it announced since `trail` was cleared."""

    app: Flask
    client: FlaskClient
    clock: Clock
    users: DictUserStore
    sessions: Sessions
    tokens: dict[str, Any]
    trail: list[tuple[str, Event]]

    @property
    def login(self) -> dict[str, str]:
        return bearer(self.tokens["access_token"])

    def post(self, path: str, body: dict[str, Any], **kwargs: Any) -> int:
        return self.client.post(path, json=body, **kwargs).status_code

    def log_in(self, **changed: Any) -> int:
        body = {"username": "bob", "password": PASSWORDS["bob"], **changed}
        return self.post("/auth/login", body)

    def refresh(self, token: str | None = None) -> int:
        token = token or self.tokens["refresh_token"]
        return self.post("/auth/refresh", {"refresh_token": token})


def set_up(users: DictUserStore | None = None) -> Scene:
    users, sessions, clock = users or make_users(), Sessions(), Clock()
    for user in users._by_id.values():
        user.password_hash = CHEAP_HASHES[user.username]
    app = make_app(users=users, sessions=sessions, clock=clock, config=CHEAP_HASHING)
    trail: list[tuple[str, Event]] = []
    for signal in SIGNALS.values():

        def listen(_: Flask, event: Event, name: str = signal.name) -> None:
            trail.append((name, event))

        signal.connect(listen, sender=app, weak=False)
    client = app.test_client()
    tokens = log_in(client)
    trail.clear()
    return Scene(app, client, clock, users, sessions, tokens, trail)


@pytest.fixture
def scene() -> Scene:
    return set_up()


# -- each signal, sent by a request ---------------------------------------------------


def guess_too_often(scene: Scene) -> int:
    for _ in range(30):
        assert scene.log_in(password="wrong") == 401
    scene.trail.clear()
    return scene.log_in(password="wrong")


def disable(scene: Scene, name: str) -> None:
    user = scene.users.find(name)
    assert user is not None
    user.is_active = False


def log_in_disabled(scene: Scene) -> int:
    disable(scene, "bob")
    return scene.log_in()


def log_in_without_password(scene: Scene) -> int:
    scene.users._by_name["bob"].password_hash = None
    return scene.log_in()


def log_in_with_a_damaged_hash(scene: Scene) -> int:
    scene.users._by_name["bob"].password_hash = "$argon2id$v=19$m=4194304$"
    return scene.log_in()


def refresh_with_an_expired_token(scene: Scene) -> int:
    scene.clock.move(31 * 86400)
    return scene.refresh()


def refresh_when_disabled(scene: Scene) -> int:
    disable(scene, "alice")
    return scene.refresh()


def refresh_again_later(scene: Scene) -> int:
    scene.refresh()
    scene.clock.move(60)
    scene.trail.clear()
    return scene.refresh()


def refresh_again(scene: Scene) -> int:
    scene.refresh()
    scene.trail.clear()
    return scene.refresh()


def refresh_again_from_elsewhere(scene: Scene) -> int:
    body = {"refresh_token": scene.tokens["refresh_token"]}
    elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
    scene.post("/auth/refresh", body, environ_base=elsewhere)
    scene.trail.clear()
    return scene.refresh()


def refresh_after_a_restore(scene: Scene) -> int:
    (backup,) = scene.sessions.of_user("u-alice", kind="login")
    body = {"refresh_token": scene.tokens["refresh_token"]}
    newer = scene.client.post("/auth/refresh", json=body).get_json()
    scene.sessions._sessions[backup.id] = backup
    scene.trail.clear()
    return scene.refresh(newer["refresh_token"])


def show_an_expired_token(scene: Scene) -> int:
    scene.clock.move(3600)
    return scene.client.get("/protected", headers=scene.login).status_code


def log_out_with_an_expired_token(scene: Scene) -> int:
    scene.clock.move(3600)
    return scene.client.post("/auth/logout", headers=scene.login).status_code


def log_out_twice_at_once(scene: Scene) -> int:
    headers = {"Authorization": "Bearer a.b, Bearer c.d"}
    return scene.client.post("/auth/logout", headers=headers).status_code


def show_a_revoked_token(scene: Scene) -> int:
    scene.client.post("/auth/logout", headers=scene.login)
    scene.trail.clear()
    return scene.client.get("/auth/me", headers=scene.login).status_code


def change_the_password(scene: Scene) -> int:
    body = {"current_password": PASSWORDS["alice"], "new_password": "a new password"}
    return scene.post("/auth/password", body, headers=scene.login)


def change_the_password_wrongly(scene: Scene) -> int:
    body = {"current_password": "wrong", "new_password": "a new password"}
    return scene.post("/auth/password", body, headers=scene.login)


def lose_the_store(ask: Callable[[Scene], int]) -> Callable[[Scene], int]:
    def ask_without(scene: Scene) -> int:
        scene.sessions.is_down = True
        return ask(scene)

    return ask_without


def show(header: str) -> Callable[[Scene], int]:
    def ask(scene: Scene) -> int:
        headers = {"Authorization": header}
        return scene.client.get("/protected", headers=headers).status_code

    return ask


def send(method: str, path: str) -> Callable[[Scene], int]:
    def ask(scene: Scene) -> int:
        answer = scene.client.open(path, method=method, headers=scene.login)
        return answer.status_code

    return ask


def revoke(scene: Scene) -> int:
    form = {"token": scene.tokens["refresh_token"]}
    return scene.client.post("/auth/revoke", data=form).status_code


STORIES: dict[str, tuple[Callable[[Scene], int], int, str, dict[str, Any]]] = {
    "login": (
        lambda scene: scene.log_in(),
        200,
        "login-succeeded",
        {"user_id": "u-bob", "session_id": "any"},
    ),
    "wrong password": (
        lambda scene: scene.log_in(username="BOB", password="wrong"),
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "wrong_password"},
    ),
    "unknown user": (
        lambda scene: scene.log_in(username="Eve"),
        401,
        "login-failed",
        {"account": "eve", "reason": "unknown_user"},
    ),
    "disabled user": (
        log_in_disabled,
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "disabled"},
    ),
    "no password": (
        log_in_without_password,
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "no_password"},
    ),
    "damaged hash": (
        log_in_with_a_damaged_hash,
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "unsupported_hash"},
    ),
    "scope that the user does not have": (
        lambda scene: scene.log_in(scope="admin"),
        400,
        "login-failed",
        {"user_id": "u-bob", "reason": "invalid_scope"},
    ),
    "one guess too many": (
        guess_too_often,
        429,
        "attempts-limited",
        {"account": "bob"},
    ),
    "refresh": (lambda scene: scene.refresh(), 200, "session-refreshed", BY_ALICE),
    "refresh again within the grace": (
        refresh_again,
        200,
        "refresh-repeated",
        BY_ALICE,
    ),
    "refresh again from another network": (
        refresh_again_from_elsewhere,
        200,
        "refresh-repeated",
        BY_ALICE | {"reason": "other_network"},
    ),
    "refresh with a token that is newer than the store": (
        refresh_after_a_restore,
        400,
        "session-revoked",
        BY_ALICE | {"reason": "store_set_back"},
    ),
    "refresh with an expired token": (
        refresh_with_an_expired_token,
        400,
        "token-refused",
        BY_ALICE | {"purpose": "refresh", "reason": "token_revoked"},
    ),
    "refresh with junk": (
        lambda scene: scene.refresh("a.b"),
        400,
        "token-refused",
        {"purpose": "refresh", "reason": "token_invalid"},
    ),
    "refresh when disabled": (
        refresh_when_disabled,
        400,
        "token-refused",
        BY_ALICE | {"purpose": "refresh", "reason": "token_revoked"},
    ),
    "refresh with a used token": (
        refresh_again_later,
        400,
        "refresh-reused",
        BY_ALICE,
    ),
    "logout": (send("POST", "/auth/logout"), 204, "session-revoked", BY_ALICE),
    "revocation": (revoke, 200, "session-revoked", BY_ALICE),
    "ending all logins": (
        send("DELETE", "/auth/sessions"),
        204,
        "session-revoked",
        {"user_id": "u-alice"},
    ),
    "password change": (change_the_password, 200, "password-changed", BY_ALICE),
    "password change, wrong password": (
        change_the_password_wrongly,
        401,
        "login-failed",
        {"user_id": "u-alice", "account": "alice", "reason": "wrong_password"},
    ),
    "new personal access token": (
        lambda scene: scene.post("/auth/tokens", {"name": "n"}, headers=scene.login),
        201,
        "token-created",
        {"user_id": "u-alice", "session_id": "any"},
    ),
    "junk for a token": (
        show("Bearer a.b"),
        401,
        "token-refused",
        {"reason": "token_invalid"},
    ),
    "two tokens": (
        show("Bearer a.b, Bearer c.d"),
        400,
        "token-refused",
        {"reason": "invalid_request"},
    ),
    "two tokens at the logout": (
        log_out_twice_at_once,
        400,
        "token-refused",
        {"reason": "invalid_request"},
    ),
    "expired token": (
        show_an_expired_token,
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_expired"},
    ),
    "expired token at the logout": (
        log_out_with_an_expired_token,
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_expired"},
    ),
    "revoked token": (
        show_a_revoked_token,
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_revoked"},
    ),
    "no store for a view": (
        lose_the_store(send("GET", "/protected")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for an endpoint": (
        lose_the_store(send("GET", "/auth/me")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a logout": (
        lose_the_store(send("POST", "/auth/logout")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a refresh": (
        lose_the_store(lambda scene: scene.refresh()),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a login": (
        lose_the_store(lambda scene: scene.log_in()),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a revocation": (
        lose_the_store(revoke),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_request_announces_one_decision(scene: Scene, name: str) -> None:
    """Exactly one signal, with all that is known and nothing else."""
    ask, status, signal, expected = STORIES[name]
    session_id = login_of(scene)
    assert ask(scene) == status
    ((sent, event),) = scene.trail
    assert sent == signal
    assert event.at == scene.clock()
    assert event.address == "127.0.0.1"
    found = {
        field: value
        for field, value in msgspec.structs.asdict(event).items()
        if value is not None and field not in {"at", "address"}
    }
    assert event.reason is None or event.reason in events.REASONS[signal]
    ids = {"the login's": session_id, "any": event.session_id}
    assert found == {field: ids.get(value, value) for field, value in expected.items()}


def login_of(scene: Scene) -> str:
    (session,) = scene.sessions.of_user("u-alice", kind="login")
    return session.id


def test_every_signal_has_its_story() -> None:
    """No signal is left without a request that sends it."""
    told = {signal for _, _, signal, _ in STORIES.values()}
    known = {
        each.name for each in vars(events).values() if isinstance(each, NamedSignal)
    }
    assert set(SIGNALS) == known
    by_code = {"token-redeemed"}  # by a method of TokenAuth
    by_commands = {name for name in known if name.startswith("user-")}
    assert known - told == by_code | by_commands


def test_where_nothing_is_decided_nothing_is_announced(scene: Scene) -> None:
    """A request without a token, or with a good one, leaves no line."""
    for method, path in [
        ("GET", "/public"),
        ("GET", "/protected"),
        ("GET", "/auth/me"),
        ("POST", "/auth/logout"),
    ]:
        scene.client.open(path, method=method)
    for path in ["/public", "/protected", "/auth/me"]:
        assert send("GET", path)(scene) == 200
    assert show("Basic YTpi")(scene) == show("Bearer")(scene) == 401
    assert scene.trail == []


# -- from the application's own code --------------------------------------------------


def test_what_the_application_does_is_announced(scene: Scene) -> None:
    """`TokenAuth`'s own methods announce as the endpoints do, outside of requests."""
    auth, alice = TokenAuth(), scene.users.find("alice")
    assert alice is not None
    with scene.app.app_context():
        auth.redeem("reset", auth.issue_once("reset", alice, 60))
        auth.login(alice)
        auth.revoke_user("u-alice")
        scene.clock.move(3600)
        with pytest.raises(TokenExpiredError):
            auth.verify(scene.tokens["access_token"])
        disable(scene, "alice")
        with pytest.raises(InvalidCredentialsError):
            auth.login(alice)
        scene.sessions.is_down = True
        with pytest.raises(StoreUnavailableError):
            auth.revoke_session("x" * 22)
    assert [(name, event.reason) for name, event in scene.trail] == [
        ("token-redeemed", None),
        ("login-succeeded", None),
        ("session-revoked", None),
        ("token-refused", "token_expired"),
        ("login-failed", "disabled"),
        ("store-failed", None),
    ]
    assert {event.user_id for _, event in scene.trail[:5]} == {"u-alice"}
    assert {event.address for _, event in scene.trail} == {None}


def test_a_failed_upgrade_is_announced_beside_the_login() -> None:
    """The login succeeds all the same, and the operator learns of the store."""
    scene = set_up(Users({"alice": User("alice", id="u-alice")}))
    weak = generate_password_hash(PASSWORDS["alice"], "pbkdf2:sha256:1")
    scene.users._by_id["u-alice"].password_hash = weak
    log_in(scene.client)
    assert [(name, event.user_id) for name, event in scene.trail] == [
        ("login-succeeded", "u-alice"),
        ("store-failed", None),
    ]


# -- the log --------------------------------------------------------------------------


@pytest.mark.advisory("Superset CVE-2021-42250")
@pytest.mark.parametrize(
    "name",
    [
        'eve\nINFO login_succeeded user_id="u-alice"',
        "eve\r\x1b[2K\x1b[1Aadmin",
        "\u202eecila\u2066",
        "\x00\x7f\x9b\u2028\u0085\ufeff",
        '" reason="fine',
        "\U0001f600" * 128,
        "\u0344" * 2000,
        "x" * 16000,
    ],
    ids=range(8),
)
def test_a_name_cannot_forge_a_line(
    scene: Scene, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Superset CVE-2021-42250: one event is one short line of printable ASCII."""
    caplog.set_level(logging.INFO, "tokenauth")
    assert scene.log_in(username=name) == 401
    (record,) = caplog.records
    line = record.getMessage()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 1000
    assert line.startswith("login_failed at=2026-09-21T14:13:20.000+00:00 reason=")
    assert "u-alice" not in line.partition(" account=")[0]
    assert line.count(' reason="') == 1


def test_who_wants_no_lines_gets_signals_all_the_same(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The logger's level is the operator's choice."""
    caplog.set_level(logging.ERROR, "tokenauth")
    seen: list[object] = []
    with events.login_succeeded.connected_to(lambda _, event: seen.append(event)):
        scene.log_in()
    assert len(seen) == 1
    assert caplog.records == []


def test_a_line_says_when_who_and_from_where(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Times in UTC; the level tells what an operator should look at."""
    caplog.set_level(logging.INFO, "tokenauth")
    scene.log_in()
    guess_too_often(scene)
    first, *_, last = caplog.records
    session_id = scene.sessions.of_user("u-bob", kind="login")[0].id
    assert (first.name, first.levelname) == ("tokenauth", "INFO")
    assert first.getMessage() == (
        'login_succeeded at=2026-09-21T14:13:20.000+00:00 user_id="u-bob" '
        f'session_id="{session_id}" address="127.0.0.1"'
    )
    assert last.levelname == "WARNING"
    assert last.getMessage() == (
        'attempts_limited at=2026-09-21T14:13:20.000+00:00 address="127.0.0.1"'
    )


def test_a_line_says_why_a_store_failed(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """In the operator's word, which no client is told."""
    scene.sessions.is_down = True
    answer = scene.client.get("/auth/me", headers=bearer(scene.tokens["access_token"]))
    assert "ConnectionError" not in answer.text
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert 'store="sessions" cause="ConnectionError"' in record.getMessage()


def test_a_hash_that_nobody_can_verify_is_a_warning(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The user cannot mend it; a wrong password is the normal course of things."""
    caplog.set_level(logging.INFO, "tokenauth")
    scene.log_in(password="wrong")
    log_in_with_a_damaged_hash(scene)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_a_long_token_leaves_a_short_line(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Joserfc CVE-2025-65015: a token of 1 MB is refused in less than 1 KiB."""
    caplog.set_level(logging.INFO)
    token = "a." + "b" * 1_000_000
    show(f"Bearer {token}")(scene)
    scene.client.post("/auth/revoke", data={"token": token[:16000]})
    scene.refresh(token[:16000])
    assert len(caplog.records) == 2
    assert all(len(record.getMessage()) < 1000 for record in caplog.records)
    assert "bbbb" not in caplog.text


def test_no_event_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither password, token nor hash, in whatever is decided."""
    caplog.set_level(logging.INFO)
    for ask, *_ in STORIES.values():
        scene = set_up()
        secrets = [*PASSWORDS.values(), *scene.tokens.values(), "a new password"]
        secrets += [user.password_hash or "" for user in scene.users._by_id.values()]
        ask(scene)
        told = str(scene.trail) + caplog.text
        for secret in filter(None, map(str, secrets)):
            assert len(secret) < 12 or secret not in told
            assert secret[-20:] not in told or len(secret) < 20


# -- receivers ------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_a_receiver_that_raises_changes_nothing(
    scene: Scene, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No decision depends on who listens; the failure is logged."""
    ask, status, signal, _ = STORIES[name]

    def fail(_: Flask, event: Event) -> None:
        raise ZeroDivisionError

    for each in SIGNALS.values():
        each.connect(fail, sender=scene.app, weak=False)
    assert ask(scene) == status
    assert scene.trail[-1][0] == signal
    assert f"a receiver of {signal} failed" in caplog.text


def test_applications_do_not_hear_each_other(scene: Scene) -> None:
    """The sender is the application."""
    other = set_up()
    other.log_in()
    assert len(other.trail) == 1
    assert scene.trail == []


@pytest.mark.parametrize("text", ["a" * 5000, "\u202e" * 5000, '"' * 5000])
def test_a_line_is_bounded_whatever_its_values_are(text: str) -> None:
    """1 KiB, escapes and all; the account is last, for it is the longest."""
    fields = ("reason", "user_id", "session_id", "purpose", "address", "account")
    event = Event(at=0, **dict.fromkeys(fields, text))
    line = events.describe(events.login_failed, event)
    assert len(line) <= 1024
    assert line.startswith("login_failed at=1970-01-01T00:00:00.000+00:00 reason=")
    assert line.isascii()
