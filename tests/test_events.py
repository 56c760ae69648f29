"""Every security decision is announced once: who, when, from where; never a secret."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec
import pytest
from blinker import NamedSignal
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.guides import FOLDER
from tests.harness.kit import (
    PASSWORDS,
    Clock,
    bearer,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tests.stores.proxy import proxied
from tokenauth import (
    DictUserStore,
    InvalidCredentialsError,
    MemorySessionStore,
    StoreUnavailableError,
    TokenAuth,
    TokenExpiredError,
    events,
)
from tokenauth.events import Event

SIGNALS = {signal.name: signal for signal in events.SIGNALS}
DAMAGED = "$argon2id$v=19$m=4194304$"
BY_ALICE = {"user_id": "u-alice", "session_id": "the login's"}
UNAVAILABLE = {"store": "sessions", "cause": "connection_lost"}


Ask: TypeAlias = Callable[["Scene"], Any]


class Scene(NamedTuple):
    """An application, and all that it announced since `trail` was cleared."""

    app: Flask
    client: FlaskClient
    clock: Clock
    users: DictUserStore
    sessions: MemorySessionStore
    failing: set[str]
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
    users, sessions, clock = users or make_users(), MemorySessionStore(), Clock()
    failing: set[str] = set()

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name in failing:
            raise StoreUnavailableError(reason="connection_lost")
        return call()

    app = make_app(users=users, sessions=proxied(sessions, around), clock=clock)
    trail: list[tuple[str, Event]] = []
    for signal in SIGNALS.values():

        def listen(_: Flask, event: Event, name: str = signal.name) -> None:
            trail.append((name, event))

        signal.connect(listen, sender=app, weak=False)
    client = app.test_client()
    tokens = log_in(client)
    trail.clear()
    return Scene(app, client, clock, users, sessions, failing, tokens, trail)


@pytest.fixture
def scene() -> Scene:
    return set_up()


# -- each signal, sent by a request: what comes before, and what is asked ------------


def after(*before: Ask, ask: Ask) -> Ask:
    """Do something, forget what was announced of it, and ask."""

    def do(scene: Scene) -> Any:
        for step in before:
            step(scene)
        scene.trail.clear()
        return ask(scene)

    return do


def guess(scene: Scene) -> int:
    return scene.log_in(password="wrong")


def guess_too_often(scene: Scene) -> int:
    for _ in range(30):
        assert guess(scene) == 401
    scene.trail.clear()
    return guess(scene)


def change(name: str, attribute: str, value: Any) -> Ask:
    """Change a user."""

    def do(scene: Scene) -> None:
        setattr(scene.users._by_name[name], attribute, value)

    return do


def wait(seconds: float) -> Ask:
    return lambda scene: scene.clock.move(seconds)


def fail(*methods: str) -> Ask:
    """Let methods of the session store fail from now on."""
    return lambda scene: scene.failing.update(methods)


def refresh_from_elsewhere(scene: Scene) -> int:
    body = {"refresh_token": scene.tokens["refresh_token"]}
    elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
    return scene.post("/auth/refresh", body, environ_base=elsewhere)


def refresh_after_a_restore(scene: Scene) -> int:
    (backup,) = scene.sessions.of_user("u-alice", kind="login")
    body = {"refresh_token": scene.tokens["refresh_token"]}
    newer = scene.client.post("/auth/refresh", json=body).get_json()
    scene.sessions._sessions[backup.id] = backup
    scene.trail.clear()
    return scene.refresh(newer["refresh_token"])


def log_in_beyond_the_limit(scene: Scene) -> int:
    scene.clock.move(1)
    for _ in range(99):
        token_of(scene.app, "alice")
    scene.trail.clear()
    status = scene.log_in(username="alice", password=PASSWORDS["alice"])
    assert scene.trail.pop()[0] == "login-succeeded"
    return status


def change_password(current: str) -> Ask:
    body = {"current_password": current, "new_password": "a new password"}
    return lambda scene: scene.post("/auth/password", body, headers=scene.login)


def show(header: str) -> Ask:
    return lambda scene: (
        scene.client.get("/protected", headers={"Authorization": header}).status_code
    )


def send(method: str, path: str, **kwargs: Any) -> Ask:
    """Send a request with the token of the scene's login, or with other headers."""
    return lambda scene: (
        scene.client.open(
            path, method=method, **({"headers": scene.login} | kwargs)
        ).status_code
    )


def reach_for_another_s_session(scene: Scene) -> int:
    token_of(scene.app, "bob")
    (theirs,) = scene.sessions.of_user("u-bob", kind="login")
    scene.trail.clear()
    return send("DELETE", f"/auth/sessions/{theirs.id}")(scene)  # type: ignore[no-any-return]


def show_a_personal_token(scene: Scene) -> int:
    made = scene.client.post("/auth/tokens", json={"name": "n"}, headers=scene.login)
    scene.trail.clear()
    headers = bearer(made.get_json()["token"])
    return scene.client.get("/auth/sessions", headers=headers).status_code


def refresh_too_often(scene: Scene) -> int:
    for _ in range(300):
        pair = scene.client.post(
            "/auth/refresh", json={"refresh_token": scene.tokens["refresh_token"]}
        )
        scene.tokens.update(pair.get_json())
    scene.trail.clear()
    return scene.refresh()


def revoke(scene: Scene) -> int:
    form = {"token": scene.tokens["refresh_token"]}
    return scene.client.post("/auth/revoke", data=form).status_code


TWO_TOKENS = {"Authorization": "Bearer a.b, Bearer c.d"}

STORIES: dict[str, tuple[Ask, int, str, dict[str, Any]]] = {
    "login": (
        Scene.log_in,
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
        after(change("bob", "is_active", False), ask=Scene.log_in),
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "disabled"},
    ),
    "no password": (
        after(change("bob", "password_hash", None), ask=Scene.log_in),
        401,
        "login-failed",
        {"user_id": "u-bob", "account": "bob", "reason": "no_password"},
    ),
    "damaged hash": (
        after(change("bob", "password_hash", DAMAGED), ask=Scene.log_in),
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
        {"user_id": "u-bob", "account": "bob"},
    ),
    "one login too many": (
        log_in_beyond_the_limit,
        200,
        "session-revoked",
        BY_ALICE | {"reason": "session_limit"},
    ),
    "refresh": (Scene.refresh, 200, "session-refreshed", BY_ALICE),
    "refresh again within the grace": (
        after(Scene.refresh, ask=Scene.refresh),
        200,
        "refresh-repeated",
        BY_ALICE,
    ),
    "refresh again from another network": (
        after(refresh_from_elsewhere, ask=Scene.refresh),
        200,
        "refresh-repeated",
        BY_ALICE | {"reason": "other_network"},
    ),
    "one refresh too many": (
        refresh_too_often,
        429,
        "attempts-limited",
        {"user_id": "u-alice", "purpose": "refresh"},
    ),
    "a scope that the token lacks": (
        send("POST", "/auth/introspect"),
        403,
        "access-denied",
        BY_ALICE | {"reason": "insufficient_scope"},
    ),
    "a login that is too old": (
        after(wait(301), ask=send("POST", "/auth/tokens")),
        401,
        "access-denied",
        BY_ALICE | {"reason": "fresh_login_required"},
    ),
    "a personal access token where a login is needed": (
        show_a_personal_token,
        401,
        "access-denied",
        {
            "user_id": "u-alice",
            "session_id": "any",
            "reason": "fresh_login_required",
        },
    ),
    "another user's session": (
        reach_for_another_s_session,
        404,
        "access-denied",
        BY_ALICE | {"reason": "not_found"},
    ),
    "refresh with a token that is newer than the store": (
        refresh_after_a_restore,
        400,
        "session-revoked",
        BY_ALICE | {"reason": "store_set_back"},
    ),
    "refresh with an expired token": (
        after(wait(31 * 86400), ask=Scene.refresh),
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
        after(change("alice", "is_active", False), ask=Scene.refresh),
        400,
        "token-refused",
        BY_ALICE | {"purpose": "refresh", "reason": "token_revoked"},
    ),
    "refresh with a used token": (
        after(Scene.refresh, wait(60), ask=Scene.refresh),
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
    "password change": (
        change_password(PASSWORDS["alice"]),
        200,
        "password-changed",
        BY_ALICE,
    ),
    "password change, wrong password": (
        change_password("wrong"),
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
        send("GET", "/protected", headers=TWO_TOKENS),
        400,
        "token-refused",
        {"reason": "invalid_request"},
    ),
    "two tokens at the logout": (
        send("POST", "/auth/logout", headers=TWO_TOKENS),
        400,
        "token-refused",
        {"reason": "invalid_request"},
    ),
    "expired token": (
        after(wait(3600), ask=send("GET", "/protected")),
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_expired"},
    ),
    "expired token at the logout": (
        after(wait(3600), ask=send("POST", "/auth/logout")),
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_expired"},
    ),
    "revoked token": (
        after(send("POST", "/auth/logout"), ask=send("GET", "/auth/me")),
        401,
        "token-refused",
        BY_ALICE | {"reason": "token_revoked"},
    ),
    "no store for a view": (
        after(fail("get"), ask=send("GET", "/protected")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for an endpoint": (
        after(fail("get"), ask=send("GET", "/auth/me")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a logout": (
        after(fail("end"), ask=send("POST", "/auth/logout")),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a refresh": (
        after(fail("rotate"), ask=Scene.refresh),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a login": (
        after(fail("add"), ask=Scene.log_in),
        503,
        "store-failed",
        UNAVAILABLE,
    ),
    "no store for a revocation": (
        after(fail("end"), ask=revoke),
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


def test_every_event_and_reason_is_on_its_page() -> None:
    """And no other."""
    text = (FOLDER / "reference/events.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \| .*? \| (.*?) ?\|$", text, re.MULTILINE)
    listed = {
        signal: set(re.findall(r"`(\w+)`", reasons)) - {"create_personal_token"}
        for signals, reasons in rows
        for signal in re.findall(r"`([a-z_]+)`", signals)
    }
    sent: dict[str, set[str]] = {name.replace("-", "_"): set() for name in SIGNALS}
    for _, _, signal, details in STORIES.values():
        if "reason" in details:
            sent[signal.replace("-", "_")].add(details["reason"])
    # By two changes of a password at once, by a store that does not know its own
    # ids, by commands, and by a method.
    sent["login_failed"] |= {"overtaken", "unknown_id"}
    sent["session_revoked"].add("everyone")
    sent["token_created"].add("operator")
    assert listed == sent


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
        alice.is_active = False
        with pytest.raises(InvalidCredentialsError):
            auth.login(alice)
        scene.failing.add("end")
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
        'attempts_limited at=2026-09-21T14:13:20.000+00:00 user_id="u-bob" '
        'address="127.0.0.1" account="bob"'
    )


def test_a_line_says_why_a_store_failed(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """In the operator's word, which no client is told."""
    scene.failing.add("get")
    answer = scene.client.get("/auth/me", headers=bearer(scene.tokens["access_token"]))
    assert "connection_lost" not in answer.text
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert 'store="sessions" cause="connection_lost"' in record.getMessage()


def test_a_hash_that_nobody_can_verify_is_a_warning(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The user cannot mend it; a wrong password is the normal course of things."""
    caplog.set_level(logging.INFO, "tokenauth")
    guess(scene)
    change("bob", "password_hash", DAMAGED)(scene)
    scene.log_in()
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
