"""Promise 8: no secret reaches a log, an error, a repr, a pickle or a traceback."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import secrets
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import Clock, bearer, make_app
from tokenauth import AuthError, DictUserStore, User, hash_password
from tokenauth.cli import tokenauth as auth_commands
from tokenauth.sessions.issuer import TokenPair
from tokenauth.tokens.redact import Redacted
from tokenauth.web import state
from tokenauth.web.api.schemas import LoginRequest, PasswordRequest, RefreshRequest

KEY = "canary-key-" + secrets.token_hex(24)
OLD_KEY = "canary-old-" + secrets.token_hex(24)
PASSWORD = "canary-password-" + secrets.token_hex(8)
NEW_PASSWORD = "canary-changed-" + secrets.token_hex(8)
JUNK = "canary-junk-" + secrets.token_hex(8)
HASH = hash_password(PASSWORD)


@pytest.fixture
def canary() -> Flask:
    """An application in which every secret can be recognised."""
    users = DictUserStore({"alice": User("alice", HASH, id="u-alice", scopes=["read"])})
    keys = {"SECRET_KEY": KEY, "SECRET_KEY_FALLBACKS": [OLD_KEY]}
    return make_app(users=users, clock=Clock(), config=keys)


def token_of(app: Flask) -> TokenPair:
    with app.app_context():
        return state.current_state().service.start(User("alice", id="u-alice"))


def reachable(root: object) -> Iterator[object]:
    """Yield all that hangs on an object, as far as it is of this package."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        is_ours = kind.__module__.partition(".")[0] == "tokenauth"
        if is_ours and not isinstance(each, type):
            yield each
        if is_ours or kind in {dict, list, tuple, set, frozenset}:
            for inner in gc.get_referents(each):
                if id(inner) not in seen and not isinstance(inner, type):
                    seen.add(id(inner))
                    waiting.append(inner)


def spellings(secret: str | bytes) -> set[str]:
    """Return a secret as it may be printed or stored."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return {raw.decode("latin-1"), repr(raw)[2:-1], raw.hex()}


def assert_holds_none(text: str, *secret: str | bytes) -> None:
    for each in secret:
        assert not [spelling for spelling in spellings(each) if spelling in text]


def test_nothing_that_is_reachable_shows_or_gives_away_a_secret(canary: Flask) -> None:
    """Whatever room an application's state leads to: printed or pickled, no secret."""
    pair = token_of(canary)
    current = canary.extensions["tokenauth"]
    mint = current.service.issuer
    keys = [*mint.access.secret_keys, *mint.refresh.secret_keys]
    hidden = [KEY, OLD_KEY, HASH, pair.access_token, pair.refresh_token, *keys]
    rooms = [*reachable(current), *reachable(pair)]
    assert {type(room).__name__ for room in rooms} >= {
        *(
            "State",
            "Settings",
            "SessionService",
            "TokenVerifier",
            "PasswordChecker",
            "TokenIssuer",
        ),
        *("TokenSigner", "DictUserStore", "User", "MemorySessionStore", "Session"),
        *(
            "LoginThrottle",
            "HashingPool",
            "OneTimeTokens",
            "PersonalTokens",
            "TokenPair",
        ),
    }
    for room in rooms:
        shown = f"{room!r} {room!s} {room}"
        assert_holds_none(shown, *hidden)
        try:
            pickled = pickle.dumps(room)
        except (TypeError, AttributeError, pickle.PicklingError) as refusal:
            assert_holds_none(str(refusal), *hidden)
        else:
            assert_holds_none(pickled.decode("latin-1"), *hidden)


def keys(app: Flask) -> list[Any]:
    current = app.extensions["tokenauth"]
    mint = current.service.issuer
    address = "192.0.2.1"
    return [
        current.settings,
        current.checker.check("alice", PASSWORD, address),
        mint.access,
        mint.refresh,
        mint.once("once:reset"),
        current.throttle,
        token_of(app),
        LoginRequest("alice", PASSWORD),
        RefreshRequest(JUNK),
        PasswordRequest(PASSWORD, NEW_PASSWORD),
    ]


def test_what_holds_a_secret_shows_its_type_alone(canary: Flask) -> None:
    """It refuses to be pickled: no cache and no task queue carries it away."""
    for holder in keys(canary):
        assert isinstance(holder, Redacted)
        assert (
            repr(holder) == str(holder) == f"{holder}" == f"<{type(holder).__name__}>"
        )
        for carry in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="holds a secret"):
                carry(holder)


def test_a_user_is_pickled_without_its_hash() -> None:
    """It may end up in a cache, with all else that it is."""
    user = User("alice", HASH, id="u-alice", scopes=["read"])
    pickled = pickle.dumps(user)
    assert_holds_none(pickled.decode("latin-1") + repr(user) + str(user), HASH)
    again = pickle.loads(pickled)  # noqa: S301 # our own pickle
    assert (again.id, again.scopes, again.password_hash) == (
        "u-alice",
        frozenset({"read"}),
        None,
    )


def everything(client: FlaskClient) -> Iterator[tuple[TestResponse, bool]]:
    """Do all that can go well and wrong; say of each answer whether it holds tokens."""
    good = {"username": "alice", "password": PASSWORD}
    first = client.post("/auth/login", json=good)
    yield first, True
    tokens = first.get_json()
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    for headers in (
        bearer(access),
        bearer(access[:-1]),
        bearer(access + "="),
        bearer(refresh),
        bearer(f"{access}, Bearer {access}"),
        {"Authorization": access},
        {"Authorization": JUNK},
        {"Authorization": f"Basic {JUNK}"},
        {"Cookie": f"session={JUNK}; remember_token={JUNK}"},
    ):
        for path in ("/protected", "/public", "/auth/me", "/auth/sessions", "/auth/x"):
            yield client.get(path, headers=headers), False
        yield client.get(f"/public?access_token={access}", headers=headers), False
    bad_bodies: list[Any] = [
        good | {"password": JUNK},
        good | {"username": JUNK},
        good | {"username": PASSWORD, "password": JUNK},
        good | {JUNK: 1},
        good | {"password": [PASSWORD]},
        good | {"scope": JUNK},
        good | {"label": JUNK + "\x00"},
        {"refresh_token": JUNK},
        {JUNK: JUNK},
        [PASSWORD],
        PASSWORD,
    ]
    for path in ("/auth/login", "/auth/refresh", "/auth/password", "/auth/logout/x"):
        for body in bad_bodies:
            yield client.post(path, json=body, headers=bearer(access)), False
        yield client.post(path, data=PASSWORD, content_type="application/json"), False
        yield client.post(path, data=PASSWORD, content_type="text/plain"), False
    yield client.post("/auth/refresh", json={"refresh_token": refresh}), True
    changes = {"current_password": PASSWORD, "new_password": PASSWORD[:5]}
    yield client.post("/auth/password", json=changes, headers=bearer(access)), False
    changes["new_password"] = NEW_PASSWORD
    yield client.post("/auth/password", json=changes, headers=bearer(access)), True
    yield client.get("/protected", headers=bearer(access)), False
    yield client.post("/auth/logout", headers=bearer(access)), False
    yield client.post("/auth/refresh", json={"refresh_token": refresh}), False


@pytest.mark.advisory("FAB CVE-2022-31177, CVE-2023-34110", "Superset CVE-2020-1932")
def test_no_secret_is_logged_or_answered(
    canary: Flask, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run through everything, with every logger at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with canary.test_client() as client:
        answers = list(everything(client))
    issued = [
        answer.get_json()[name]
        for answer, has_tokens in answers
        if has_tokens
        for name in ("access_token", "refresh_token")
    ]
    users = canary.extensions["tokenauth"].stores.users
    hidden = [KEY, OLD_KEY, PASSWORD, NEW_PASSWORD, HASH, *issued]
    hidden += [users.get("u-alice").password_hash]
    out, err = capfd.readouterr()
    assert_holds_none(caplog.text + out + err, JUNK, *hidden)
    for answer, has_tokens in answers:
        said = answer.text + str(answer.headers)
        assert_holds_none(said, KEY, OLD_KEY, PASSWORD, NEW_PASSWORD, HASH, JUNK)
        assert has_tokens or not [token for token in issued if token in said]
    assert "login_failed" in caplog.text


class BrokenStore(DictUserStore):
    """A store with an error of its own, raised beside what the caller passed."""

    def find(self, username: str) -> User | None:
        raise RuntimeError("the table is locked")


def test_an_unexpected_error_is_logged_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug in a store is the application's 500; its traceback holds no secret."""
    config = {"SECRET_KEY": KEY, "PROPAGATE_EXCEPTIONS": False, "TESTING": False}
    client = make_app(users=BrokenStore({"alice": HASH}), config=config).test_client()
    body = {"username": "alice", "password": PASSWORD}
    answer = client.post("/auth/login", json=body)
    assert answer.status_code == 500
    assert "the table is locked" in caplog.text
    assert_holds_none(caplog.text + answer.text, KEY, PASSWORD, HASH)


@pytest.mark.advisory("joserfc CVE-2025-65015")
def test_an_error_carries_no_token(canary: Flask) -> None:
    """joserfc CVE-2025-65015: a megabyte of token in an exception's text."""
    token = token_of(canary).access_token
    current = canary.extensions["tokenauth"]
    for bad in (token[:-1] + "*", "x" * 1_000_000, token + "=" * 9, token + "\ud800"):
        refresh = partial(current.service.refresh, admit=print)
        for ask in (current.verifier.authenticate, refresh):
            with pytest.raises(AuthError) as caught:
                ask(bad)
            shown = "".join(traceback.format_exception(caught.value))
            shown += repr(caught.value) + repr(vars(caught.value))
            assert_holds_none(shown, token)
            assert len(shown) < 5000


def test_a_kept_error_keeps_no_frames(canary: Flask) -> None:
    """The error of a request waits in its context; the token's frames do not."""
    token = token_of(canary).access_token
    with canary.test_request_context(headers=bearer(token + "A")):
        canary.login_manager._load_user()  # type: ignore[attr-defined]
        all_kept = list(reachable(vars(g._get_current_object())))
    kept = [each for each in all_kept if isinstance(each, AuthError)]
    assert kept
    assert all(error.__traceback__ is None for error in kept)


def test_the_commands_print_no_secret_that_they_were_given(canary: Flask) -> None:
    """A token that is inspected and a password that is hashed are not repeated."""
    runner = canary.test_cli_runner()
    token = token_of(canary).access_token
    inspected = runner.invoke(auth_commands, ["inspect", "-"], input=token)
    assert "u-alice" in inspected.output
    assert_holds_none(inspected.output, token, KEY, OLD_KEY, HASH)
    refused = runner.invoke(auth_commands, ["inspect", token + "A"])
    assert refused.exit_code == 1
    assert_holds_none(refused.output, token, KEY, OLD_KEY)
    hashed = runner.invoke(auth_commands, ["hash-password"], input=PASSWORD + "\n")
    assert hashed.output.startswith("$argon2id$")
    assert_holds_none(hashed.output, PASSWORD)
    too_short = runner.invoke(auth_commands, ["hash-password"], input=PASSWORD[:7])
    assert too_short.exit_code == 1
    assert PASSWORD[:7] not in too_short.output
